/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/json.h"

const struct fp_json_limits fp_json_limits_default = {
    .bytes_max = 262144,
    .depth_max = 16,
    .nodes_max = 2048,
    .members_max = 512,
    .string_max = 65536,
    .number_max = 64,
};

uint32_t fp_json_member(const struct fp_json_node *nodes, uint32_t object, const char *key)
{
    if (nodes[object].type != FP_JSON_OBJECT)
        return 0;
    struct fp_slice wanted = fp_slice_of(key);
    uint32_t end = nodes[object].next;
    for (uint32_t i = object + 1; i < end; i = nodes[i].next)
        if (fp_slice_equal(nodes[i].key, wanted))
            return i;
    return 0;
}
