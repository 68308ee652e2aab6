/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cJSON behind a small door: its tree is copied into our own, which has parents, indices, paths and
 * sorted members, and is freed with the model. Strictness that cJSON lacks is in model_syntax.c. */
#include "daemon/model_json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct copy {
    struct fp_arena *arena;
    struct fp_node_error *error;
};

/* ---- reading --------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct fp_node *x = *(const struct fp_node *const *)a;
    const struct fp_node *y = *(const struct fp_node *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->index - y->index;
}

/* Also collects the keys that come twice. */
static void sort_members(struct copy *copy, struct fp_node *object)
{
    object->sorted = fp_arena_alloc(copy->arena, (size_t)object->count, sizeof *object->sorted);
    int count = 0;
    for (const struct fp_node *at = object->child; at; at = at->next)
        object->sorted[count++] = at;
    qsort(object->sorted, (size_t)count, sizeof *object->sorted, by_key);
    struct fp_node_error *error = copy->error;
    for (int i = 1; i < count; i++) {
        if (strcmp(object->sorted[i - 1]->key, object->sorted[i]->key) == 0 &&
            error->double_key_count < FP_NODE_DOUBLE_KEYS_MAX)
            error->double_keys[error->double_key_count++] = object->sorted[i];
    }
}

static enum fp_node_type type_of(const cJSON *item)
{
    switch (item->type & 0xFF) {
    case cJSON_False:
    case cJSON_True:
        return FP_NODE_BOOL;
    case cJSON_Number:
        return FP_NODE_NUMBER;
    case cJSON_String:
        return FP_NODE_STRING;
    case cJSON_Array:
        return FP_NODE_ARRAY;
    case cJSON_Object:
        return FP_NODE_OBJECT;
    default:
        return FP_NODE_NULL;
    }
}

static struct fp_node *copy_node(struct copy *copy, const cJSON *item, const struct fp_node *parent,
                                 int index, int depth)
{
    struct fp_node *node = fp_arena_alloc(copy->arena, 1, sizeof *node);
    node->type = type_of(item);
    node->parent = parent;
    node->index = index;
    if (item->string)
        node->key = fp_arena_text(copy->arena, item->string, strlen(item->string));
    if (node->type == FP_NODE_STRING)
        node->text = fp_arena_text(copy->arena, item->valuestring, strlen(item->valuestring));
    else if (node->type == FP_NODE_BOOL)
        node->number = cJSON_IsTrue(item);
    else
        node->number = item->valuedouble;
    char *what = copy->error->what;
    if (node->type == FP_NODE_NUMBER && !isfinite(node->number))
        snprintf(what, sizeof copy->error->what, "a number is too large");
    if (depth > FP_NODE_DEPTH_MAX) {
        snprintf(what, sizeof copy->error->what, "nested more than %d deep", FP_NODE_DEPTH_MAX);
        return node;
    }
    const struct fp_node **link = &node->child;
    for (const cJSON *at = item->child; at; at = at->next) {
        struct fp_node *child = copy_node(copy, at, node, node->count++, depth + 1);
        *link = child;
        link = &child->next;
    }
    if (node->type == FP_NODE_OBJECT)
        sort_members(copy, node);
    return node;
}

const struct fp_node *fp_node_parse(struct fp_arena *arena, const char *text, size_t len,
                                    struct fp_node_error *error)
{
    memset(error, 0, sizeof *error);
    if (!fp_node_check_text(text, len, error))
        return NULL;
    const char *end = text;
    cJSON *document = cJSON_ParseWithLengthOpts(text, len, &end, false);
    error->at = end ? (size_t)(end - text) : 0;
    if (document == NULL) {
        snprintf(error->what, sizeof error->what, "not valid JSON");
        return NULL;
    }
    while (error->at < len && strchr(" \t\r\n", text[error->at]) && text[error->at])
        error->at++;
    const struct fp_node *root = NULL;
    if (error->at < len) {
        snprintf(error->what, sizeof error->what, "more text after the end of the JSON document");
    } else {
        struct copy copy = {.arena = arena, .error = error};
        root = copy_node(&copy, document, NULL, 0, 1);
        error->at = 0;
    }
    cJSON_Delete(document);
    return error->what[0] ? NULL : root;
}

/* ---- writing --------------------------------------------------------------------------------- */

void fp_number_text(double number, char text[FP_NUMBER_TEXT])
{
    if (number == 0)
        number = 0; /* no "-0" */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, FP_NUMBER_TEXT, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            return;
    }
}

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void write_object(FILE *out, const struct fp_node *node)
{
    fputc('{', out);
    for (int i = 0; i < node->count; i++) {
        if (i)
            fputc(',', out);
        write_string(out, node->sorted[i]->key);
        fputc(':', out);
        fp_node_write(out, node->sorted[i]);
    }
    fputc('}', out);
}

void fp_node_write(FILE *out, const struct fp_node *node)
{
    char text[FP_NUMBER_TEXT];
    switch (node->type) {
    case FP_NODE_NULL:
        fputs("null", out);
        break;
    case FP_NODE_BOOL:
        fputs(node->number != 0 ? "true" : "false", out);
        break;
    case FP_NODE_NUMBER:
        fp_number_text(node->number, text);
        fputs(text, out);
        break;
    case FP_NODE_STRING:
        write_string(out, node->text);
        break;
    case FP_NODE_ARRAY:
        fputc('[', out);
        for (const struct fp_node *at = node->child; at; at = at->next) {
            fp_node_write(out, at);
            if (at->next)
                fputc(',', out);
        }
        fputc(']', out);
        break;
    case FP_NODE_OBJECT:
        write_object(out, node);
        break;
    }
}

void fp_node_path(const struct fp_node *node, char *path, size_t size)
{
    const struct fp_node *chain[FP_NODE_DEPTH_MAX + 2];
    int depth = 0;
    for (; node && node->parent && depth <= FP_NODE_DEPTH_MAX; node = node->parent)
        chain[depth++] = node;
    size_t used = (size_t)snprintf(path, size, "$");
    while (depth > 0 && used + 1 < size) {
        const struct fp_node *at = chain[--depth];
        int wrote = at->key ? snprintf(path + used, size - used, ".%s", at->key)
                            : snprintf(path + used, size - used, "[%d]", at->index);
        used += (size_t)wrote;
    }
}

/* ---- members --------------------------------------------------------------------------------- */

const struct fp_node *fp_node_get(const struct fp_node *object, const char *key)
{
    if (object == NULL || object->type != FP_NODE_OBJECT)
        return NULL;
    for (const struct fp_node *at = object->child; at; at = at->next) {
        if (strcmp(at->key, key) == 0)
            return at;
    }
    return NULL;
}

const struct fp_node *fp_node_list(const struct fp_node *object, const char *key)
{
    const struct fp_node *node = fp_node_get(object, key);
    return node && node->type == FP_NODE_ARRAY ? node : NULL;
}

const char *fp_node_string(const struct fp_node *object, const char *key, const char *fallback)
{
    const struct fp_node *node = fp_node_get(object, key);
    return node && node->type == FP_NODE_STRING ? node->text : fallback;
}

double fp_node_number(const struct fp_node *object, const char *key, double fallback)
{
    const struct fp_node *node = fp_node_get(object, key);
    return node && node->type == FP_NODE_NUMBER ? node->number : fallback;
}

int fp_node_int(const struct fp_node *object, const char *key, int fallback)
{
    double number = fp_node_number(object, key, fallback);
    if (number < -1e9)
        return -1000000000;
    return number > 1e9 ? 1000000000 : (int)number;
}
