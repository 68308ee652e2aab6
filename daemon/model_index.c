/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ids: who is declared, under which dense id, and who refers to whom.
 * One open-addressing table over (kind, name), at most half full, never changed after loading. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <string.h>

#include "daemon/model_build.h"

const char *fp_kind_name(enum fp_kind kind)
{
    static const char *const names[] = {[FP_KIND_UNIT] = "unit",
                                        [FP_KIND_CHANNEL] = "channel",
                                        [FP_KIND_TOUCHPOINT] = "touchpoint",
                                        [FP_KIND_JOURNEY] = "journey",
                                        [FP_KIND_SOURCE] = "source",
                                        [FP_KIND_SURVEY] = "survey",
                                        [FP_KIND_ITEM] = "item",
                                        [FP_KIND_MEASURE] = "measure",
                                        [FP_KIND_OWNER] = "owner",
                                        [FP_KIND_KPI] = "KPI",
                                        [FP_KIND_SCALE] = "scale",
                                        [FP_KIND_DRIVER_MODEL] = "driver model",
                                        [FP_KIND_INTERVENTION] = "intervention",
                                        [FP_KIND_PROMISE] = "promise"};
    return names[kind];
}

static struct fp_index_slot *find_slot(const struct fp_index *index, enum fp_kind kind,
                                       const char *name, uint32_t len)
{
    uint32_t at = (uint32_t)XXH3_64bits_withSeed(name, len, (XXH64_hash_t)kind) & index->mask;
    for (;; at = (at + 1) & index->mask) {
        struct fp_index_slot *slot = &index->slots[at];
        if (slot->name == NULL ||
            (slot->kind == (uint8_t)kind && slot->len == len && memcmp(slot->name, name, len) == 0))
            return slot;
    }
}

int fp_model_find(const struct fp_model *model, enum fp_kind kind, struct fp_slice name)
{
    if (name.at == NULL)
        return FP_NONE;
    const struct fp_index_slot *slot = find_slot(&model->own->index, kind, name.at, name.len);
    return slot->name ? slot->id : FP_NONE;
}

/* ---- declaring ------------------------------------------------------------------------------- */

/* The id of a list element is its member "id", that of a map's member its key. */
static const char *declare(struct fp_build *build, enum fp_kind kind, const struct fp_node *node,
                           int id)
{
    const char *name = node->key ? node->key : fp_node_string(node, "id", "");
    if (name[0] == '\0')
        return name; /* reported as a missing or malformed id */
    uint32_t len = (uint32_t)strlen(name);
    struct fp_index_slot *slot = find_slot(&build->model->own->index, kind, name, len);
    if (slot->name == NULL)
        *slot = (struct fp_index_slot){.name = name, .len = len, .kind = (uint8_t)kind, .id = id};
    else if (node->key == NULL) /* a key that comes twice is reported by the reader */
        fp_problem_at(build, node, "id", "give each its own id; ids are unique per kind",
                      "the %s id \"%.80s\" is used twice", fp_kind_name(kind), name);
    return name;
}

/* Every element gets a dense id, also a malformed one: it is its place in the list. */
static void *declare_list(struct fp_build *build, enum fp_kind kind, const char *key, size_t size,
                          int *count)
{
    const struct fp_node *list = fp_node_get(build->root, key);
    if (list && list->type != FP_NODE_ARRAY && list->type != FP_NODE_OBJECT)
        list = NULL;
    *count = list ? list->count : 0;
    char *array = fp_arena_alloc(build->arena, (size_t)*count + 1, size);
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        /* every declared struct begins with its id */
        *(const char **)(void *)(array + (size_t)at->index * size) =
            declare(build, kind, at, at->index);
    }
    return array;
}

static void declare_journeys(struct fp_build *build)
{
    struct fp_model *model = build->model;
    const struct fp_node *list = fp_node_list(build->root, "journeys");
    int count = 0;
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        const struct fp_node *detailed = fp_node_list(at, "detailed");
        count += 1 + (detailed ? detailed->count : 0);
    }
    model->journeys = fp_arena_alloc(build->arena, (size_t)count + 1, sizeof *model->journeys);
    build->journey_nodes =
        fp_arena_alloc(build->arena, (size_t)count + 1, sizeof *build->journey_nodes);
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        int main = model->journey_count++;
        build->journey_nodes[main] = at;
        model->journeys[main] =
            (struct fp_journey){.id = declare(build, FP_KIND_JOURNEY, at, main), .parent = FP_NONE};
        const struct fp_node *detailed = fp_node_list(at, "detailed");
        for (const struct fp_node *d = detailed ? detailed->child : NULL; d; d = d->next) {
            int id = model->journey_count++;
            build->journey_nodes[id] = d;
            model->journeys[id] =
                (struct fp_journey){.id = declare(build, FP_KIND_JOURNEY, d, id), .parent = main};
        }
    }
}

static uint32_t count_names(const struct fp_node *root)
{
    uint32_t count = 0; /* every object that could declare something, and more */
    for (const struct fp_node *at = root->child; at; at = at->next) {
        count += (uint32_t)at->count;
        if (at->key && strcmp(at->key, "journeys") == 0) {
            for (const struct fp_node *main = at->child; main; main = main->next) {
                const struct fp_node *detailed = fp_node_list(main, "detailed");
                count += detailed ? (uint32_t)detailed->count : 0;
            }
        }
    }
    return count;
}

void fp_model_declare(struct fp_build *build)
{
    struct fp_model *m = build->model;
    uint32_t slots = 16;
    while (slots < 2 * count_names(build->root))
        slots *= 2;
    m->own->index.mask = slots - 1;
    m->own->index.slots = fp_arena_alloc(build->arena, slots, sizeof *m->own->index.slots);

    m->scales = declare_list(build, FP_KIND_SCALE, "scales", sizeof *m->scales, &m->scale_count);
    m->measures =
        declare_list(build, FP_KIND_MEASURE, "measures", sizeof *m->measures, &m->measure_count);
    m->owners = declare_list(build, FP_KIND_OWNER, "owners", sizeof *m->owners, &m->owner_count);
    m->units = declare_list(build, FP_KIND_UNIT, "units", sizeof *m->units, &m->unit_count);
    m->touchpoints = declare_list(build, FP_KIND_TOUCHPOINT, "touchpoints", sizeof *m->touchpoints,
                                  &m->touchpoint_count);
    declare_journeys(build);
    m->items = declare_list(build, FP_KIND_ITEM, "items", sizeof *m->items, &m->item_count);
    m->kpis = declare_list(build, FP_KIND_KPI, "kpis", sizeof *m->kpis, &m->kpi_count);
    m->driver_models = declare_list(build, FP_KIND_DRIVER_MODEL, "driver_models",
                                    sizeof *m->driver_models, &m->driver_model_count);
    m->interventions = declare_list(build, FP_KIND_INTERVENTION, "interventions",
                                    sizeof *m->interventions, &m->intervention_count);
    m->promises =
        declare_list(build, FP_KIND_PROMISE, "promises", sizeof *m->promises, &m->promise_count);
}

/* ---- referring ------------------------------------------------------------------------------- */

/* Says what the name is instead, or which known one is close. */
static void reference_hint(const struct fp_build *build, enum fp_kind kind, enum fp_kind or_kind,
                           const char *name, char *hint, size_t size)
{
    for (int other = 0; other < FP_KINDS; other++) {
        if (fp_model_find(build->model, (enum fp_kind)other, fp_slice_of(name)) != FP_NONE) {
            snprintf(hint, size, "\"%s\" is a %s", name, fp_kind_name((enum fp_kind)other));
            return;
        }
    }
    struct fp_nearest nearest = {.wanted = name};
    const struct fp_index *index = &build->model->own->index;
    for (uint32_t i = 0; i <= index->mask; i++) {
        const struct fp_index_slot *slot = &index->slots[i];
        if (slot->name && (slot->kind == (uint8_t)kind || slot->kind == (uint8_t)or_kind))
            fp_nearest_offer(&nearest, slot->name);
    }
    if (nearest.name)
        snprintf(hint, size, "did you mean \"%s\"?", nearest.name);
    else
        snprintf(hint, size, "declare it in the model, or name one that is declared");
}

static void unknown_name(struct fp_build *build, const struct fp_node *node, enum fp_kind kind,
                         enum fp_kind or_kind)
{
    char hint[240];
    reference_hint(build, kind, or_kind, node->text, hint, sizeof hint);
    fp_problem_at(build, node, NULL, hint, "unknown %s%s%s \"%.80s\"", fp_kind_name(kind),
                  kind == or_kind ? "" : " or ", kind == or_kind ? "" : fp_kind_name(or_kind),
                  node->text);
}

int fp_build_ref(struct fp_build *build, const struct fp_node *node, enum fp_kind kind)
{
    if (node == NULL || node->type != FP_NODE_STRING)
        return FP_NONE;
    int id = fp_model_find(build->model, kind, fp_slice_of(node->text));
    if (id == FP_NONE)
        unknown_name(build, node, kind, kind);
    return id;
}

enum fp_kind fp_build_ref_either(struct fp_build *build, const struct fp_node *node,
                                 enum fp_kind kind, enum fp_kind or_kind)
{
    bool is = fp_model_find(build->model, kind, fp_slice_of(node->text)) != FP_NONE;
    bool is_other = fp_model_find(build->model, or_kind, fp_slice_of(node->text)) != FP_NONE;
    if (is && is_other)
        fp_problem_at(build, node, NULL, "rename one of them", "\"%.80s\" is both %s and %s",
                      node->text, fp_kind_name(kind), fp_kind_name(or_kind));
    else if (!is && !is_other)
        unknown_name(build, node, kind, or_kind);
    return is ? kind : or_kind;
}

const int *fp_build_refs(struct fp_build *build, const struct fp_node *list, enum fp_kind kind,
                         int *count)
{
    int *ids = fp_arena_alloc(build->arena, list ? (size_t)list->count + 1 : 1, sizeof *ids);
    *count = 0;
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        int id = fp_build_ref(build, at, kind);
        bool repeated = false;
        for (int i = 0; i < *count; i++)
            repeated |= ids[i] == id;
        if (repeated)
            fp_problem_at(build, at, NULL, "remove it", "\"%.80s\" is named twice", at->text);
        else if (id != FP_NONE)
            ids[(*count)++] = id;
    }
    return ids;
}
