/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A JSON document as a plain tree that knows its paths; used where speed is no concern.
 * Memory: the arena's. Threads: a tree is immutable once read.
 * Strict where cJSON is not: number grammar, control characters, UTF-8, trailing bytes; a key that
 * comes twice in an object is reported, the first one counts. */
#ifndef FP_MODEL_JSON_H
#define FP_MODEL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "daemon/model_arena.h"

enum fp_node_type {
    FP_NODE_NULL,
    FP_NODE_BOOL,
    FP_NODE_NUMBER,
    FP_NODE_STRING,
    FP_NODE_ARRAY,
    FP_NODE_OBJECT
};

struct fp_node {
    enum fp_node_type type;
    const char *key;  /* NULL for array elements and the root */
    const char *text; /* of a string */
    double number;    /* of a number; 0 or 1 of a boolean */
    const struct fp_node *parent, *child, *next;
    const struct fp_node **sorted; /* members of an object by key */
    int index, count;              /* among its siblings; of its children */
};

#define FP_NODE_DEPTH_MAX 32
#define FP_NODE_DOUBLE_KEYS_MAX 64

struct fp_node_error {
    size_t at; /* byte offset */
    char what[160];
    const struct fp_node *double_keys[FP_NODE_DOUBLE_KEYS_MAX];
    int double_key_count;
};

/* NULL when the text is not one JSON document: error->at and ->what say where and why. */
const struct fp_node *fp_node_parse(struct fp_arena *arena, const char *text, size_t len,
                                    struct fp_node_error *error);
/* Part of the above, in model_syntax.c: what cJSON would let pass. */
bool fp_node_check_text(const char *text, size_t len, struct fp_node_error *error);

/* Keys sorted, no white space, numbers in their shortest form that reads back the same. */
void fp_node_write(FILE *out, const struct fp_node *node);
#define FP_NUMBER_TEXT 32
void fp_number_text(double number, char text[FP_NUMBER_TEXT]);

/* "$.kpis[2].source.measure", cut to size. */
void fp_node_path(const struct fp_node *node, char *path, size_t size);

/* Members, forgiving: NULL or the fallback when absent or of another type. `object` may be NULL. */
const struct fp_node *fp_node_get(const struct fp_node *object, const char *key);
const struct fp_node *fp_node_list(const struct fp_node *object, const char *key); /* an array */
const char *fp_node_string(const struct fp_node *object, const char *key, const char *fallback);
double fp_node_number(const struct fp_node *object, const char *key, double fallback);
int fp_node_int(const struct fp_node *object, const char *key, int fallback); /* ±1e9 */

#endif
