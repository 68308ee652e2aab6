/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Strict, bounded JSON for the hot path: bytes in, a flat array of nodes out.
 *
 * The whole document is checked, also the parts nobody asks for: UTF-8, escapes, lone surrogates,
 * number grammar, depth, lengths, duplicate keys, trailing bytes. Numbers stay decimal text, so
 * no value ever passes through a double.
 *
 * Implemented over simdjson (json_simdjson.cpp, the only file that includes it).
 * Ownership: a reader owns its scratch memory; nodes and slices are valid until the next parse
 * with the same reader. Threads: one reader per thread. */
#ifndef FP_JSON_H
#define FP_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/slice.h"
#include "daemon/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum fp_json_type {
    FP_JSON_NULL,
    FP_JSON_FALSE,
    FP_JSON_TRUE,
    FP_JSON_NUMBER, /* text = the number as written, e.g. "-6.40" or "1e3" (grammar checked) */
    FP_JSON_STRING, /* text = unescaped UTF-8 */
    FP_JSON_ARRAY,
    FP_JSON_OBJECT
};

/* Nodes are stored in document order; the children of node i are the nodes i+1 … next-1 of the
 * next level: first child = i + 1, its sibling = nodes[i + 1].next, until `next` of the parent. */
struct fp_json_node {
    struct fp_slice key;  /* unescaped; absent for array elements and the root */
    struct fp_slice text; /* of a number or a string */
    uint32_t next;        /* index of the node after this one's last descendant */
    uint32_t count;       /* direct children of an array or object */
    enum fp_json_type type;
};

struct fp_json_limits {
    uint32_t bytes_max;   /* of the document */
    uint32_t depth_max;   /* the root container is depth 1 */
    uint32_t nodes_max;   /* values in the whole document */
    uint32_t members_max; /* direct children of one object or array */
    uint32_t string_max;  /* bytes of one key or string after unescaping */
    uint32_t number_max;  /* bytes of one number */
};

extern const struct fp_json_limits fp_json_limits_default; /* 262144, 16, 2048, 512, 65536, 64 */

struct fp_json_reader;

/* NULL: no memory, or limits that allow nothing. */
struct fp_json_reader *fp_json_reader_new(const struct fp_json_limits *limits);
void fp_json_reader_free(struct fp_json_reader *reader);

/* Parses exactly one document. On FP_OK *nodes and *count are set (nodes[0] is the root).
 * On FP_REJECT err->code is one of: empty, too_long, bad_utf8, bad_json, too_deep, too_many_values,
 * string_too_long, number_too_long, duplicate_key, nul_in_string (\u0000), trailing_bytes;
 * err->where is the field path of the enclosing value where it is known ("data.scores.x"). */
enum fp_status fp_json_parse(struct fp_json_reader *reader, const void *bytes, size_t len,
                             const struct fp_json_node **nodes, uint32_t *count,
                             struct fp_error *err) FP_MUST_CHECK;

/* The member `key` of the object nodes[object], or 0 (the root is never a member). */
uint32_t fp_json_member(const struct fp_json_node *nodes, uint32_t object, const char *key);

/* True when the bytes are strict UTF-8; for text that comes beside a document, as headers do. */
bool fp_json_valid_utf8(const void *bytes, size_t len);

#ifdef __cplusplus
}
#endif
#endif
