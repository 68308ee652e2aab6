/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes through fp_json_parse. What is accepted must be a consistent tree within the limits,
 * and written out again and read again it must be the same tree. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/json.h"

static const struct fp_json_limits limits = {.bytes_max = 65536, .depth_max = 16,
                                             .nodes_max = 256, .members_max = 64,
                                             .string_max = 512, .number_max = 64};

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static void check_leaf(const struct fp_json_node *node)
{
    bool text = node->type == FP_JSON_STRING || node->type == FP_JSON_NUMBER;
    require((node->text.at != NULL) == text, "text of strings and numbers only");
    require(node->count == 0, "a leaf has no children");
    uint32_t most = node->type == FP_JSON_NUMBER ? limits.number_max : limits.string_max;
    require(node->text.len <= most, "text within its limit");
    if (text && node->text.len > 0)
        require(fp_json_valid_utf8(node->text.at, node->text.len) &&
                memchr(node->text.at, 0, node->text.len) == NULL, "text is UTF-8 without NUL");
}

/* The subtree of node i, which ends where its last child does; no two members of the same name. */
static void check_tree(const struct fp_json_node *nodes, uint32_t i, uint32_t depth)
{
    const struct fp_json_node *node = &nodes[i];
    if (node->type != FP_JSON_ARRAY && node->type != FP_JSON_OBJECT) {
        require(node->next == i + 1, "a leaf ends behind itself");
        check_leaf(node);
        return;
    }
    require(depth < limits.depth_max && node->count <= limits.members_max, "limits of a container");
    uint32_t children = 0, child = i + 1;
    for (; child < node->next; child = nodes[child].next, children++) {
        require((nodes[child].key.at != NULL) == (node->type == FP_JSON_OBJECT), "keys of members");
        for (uint32_t twin = i + 1; twin < child && node->type == FP_JSON_OBJECT;
             twin = nodes[twin].next)
            require(!fp_slice_equal(nodes[twin].key, nodes[child].key), "no duplicate keys");
        check_tree(nodes, child, depth + 1);
    }
    require(child == node->next && children == node->count, "children add up");
}

/* ---- writing --------------------------------------------------------------------------------- */

static char text[1 << 20];
static size_t length;

static void put(const char *bytes, size_t len)
{
    require(length + len <= sizeof text, "room to write");
    memcpy(text + length, bytes, len);
    length += len;
}

static void put_string(struct fp_slice string)
{
    put("\"", 1);
    for (uint32_t i = 0; i < string.len; i++) {
        unsigned char c = (unsigned char)string.at[i];
        char escape[8];
        if (c < 0x20 || c == '"' || c == '\\')
            put(escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        else
            put(&string.at[i], 1);
    }
    put("\"", 1);
}

static void put_node(const struct fp_json_node *nodes, uint32_t i)
{
    static const char *const words[] = {"null", "false", "true"};
    const struct fp_json_node *node = &nodes[i];
    if (node->type == FP_JSON_NUMBER)
        put(node->text.at, node->text.len);
    else if (node->type == FP_JSON_STRING)
        put_string(node->text);
    else if (node->type <= FP_JSON_TRUE)
        put(words[node->type], strlen(words[node->type]));
    else {
        put(node->type == FP_JSON_ARRAY ? "[" : "{", 1);
        for (uint32_t child = i + 1; child < node->next; child = nodes[child].next) {
            if (child > i + 1)
                put(",", 1);
            if (node->type == FP_JSON_OBJECT) {
                put_string(nodes[child].key);
                put(":", 1);
            }
            put_node(nodes, child);
        }
        put(node->type == FP_JSON_ARRAY ? "]" : "}", 1);
    }
}

static void check_round_trip(struct fp_json_reader *again, const struct fp_json_node *nodes,
                             uint32_t count)
{
    const struct fp_json_node *copies;
    uint32_t copy_count;
    struct fp_error err;
    length = 0;
    put_node(nodes, 0);
    if (fp_json_parse(again, text, length, &copies, &copy_count, &err) != FP_OK) {
        require(strcmp(err.code, "too_long") == 0, "what was read can be read again");
        return; /* escapes made it longer */
    }
    require(copy_count == count, "the same number of nodes");
    for (uint32_t i = 0; i < count; i++)
        require(copies[i].type == nodes[i].type && copies[i].next == nodes[i].next &&
                copies[i].count == nodes[i].count &&
                fp_slice_equal(copies[i].key, nodes[i].key) &&
                fp_slice_equal(copies[i].text, nodes[i].text), "the same nodes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fp_json_reader *reader, *again;
    if (reader == NULL) {
        reader = fp_json_reader_new(&limits);
        again = fp_json_reader_new(&limits);
    }
    const struct fp_json_node *nodes;
    uint32_t count;
    struct fp_error err = {0};
    if (fp_json_parse(reader, data, size, &nodes, &count, &err) != FP_OK) {
        require(err.code[0] != '\0' && err.what[0] != '\0', "a reason");
        require(fp_json_valid_utf8(err.where, strlen(err.where)), "a path in UTF-8");
        return 0;
    }
    require(count >= 1 && count <= limits.nodes_max && nodes[0].next == count, "the root is all");
    check_tree(nodes, 0, 0);
    check_round_trip(again, nodes, count);
    return 0;
}
