/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cache in front of flightpath.register_names(). Ids are for ever, so entries never expire;
 * the number of entries is bounded by the caps of the model. Once a kind overflows, all its
 * names are loaded and a miss means "__other__": a flood of new names costs no round trips. */
#include "daemon/registry.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/install.h"
#include "daemon/memory.h"

#define CALL_MS 5000
#define START_SLOTS 1024u

struct named {
    char *name; /* NULL = free slot */
    uint32_t len;
    int32_t id;
    enum fp_kind kind;
};

struct fp_registry {
    struct named *slots;
    size_t mask, used;
    bool full[FP_KINDS];
};

struct fp_registry *fp_registry_new(void)
{
    struct fp_registry *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->slots = fp_must_calloc(START_SLOTS, sizeof *r->slots);
    r->mask = START_SLOTS - 1;
    return r;
}

void fp_registry_free(struct fp_registry *registry)
{
    if (registry == NULL)
        return;
    for (size_t i = 0; i <= registry->mask; i++)
        free(registry->slots[i].name);
    free(registry->slots);
    free(registry);
}

void fp_registry_refresh(struct fp_registry *registry)
{
    memset(registry->full, 0, sizeof registry->full);
}

static struct named *find(struct fp_registry *r, enum fp_kind kind, const char *name, uint32_t len)
{
    size_t i = XXH3_64bits_withSeed(name, len, (XXH64_hash_t)kind) & r->mask;
    for (; r->slots[i].name; i = (i + 1) & r->mask) {
        struct named *n = &r->slots[i];
        if (n->kind == kind && n->len == len && memcmp(n->name, name, len) == 0)
            break;
    }
    return &r->slots[i];
}

static void remember(struct fp_registry *r, enum fp_kind kind, const char *name, uint32_t len,
                     int32_t id)
{
    if ((r->used + 1) * 2 > r->mask) {
        struct named *old = r->slots;
        size_t count = r->mask + 1;
        r->slots = fp_must_calloc(count * 2, sizeof *r->slots);
        r->mask = count * 2 - 1;
        for (size_t i = 0; i < count; i++)
            if (old[i].name)
                *find(r, old[i].kind, old[i].name, old[i].len) = old[i];
        free(old);
    }
    struct named *slot = find(r, kind, name, len);
    if (slot->name == NULL) {
        slot->name = fp_must_calloc(len + 1u, 1);
        memcpy(slot->name, name, len);
        r->used++;
    }
    slot->len = len;
    slot->kind = kind;
    slot->id = id;
}

static void remember_all(struct fp_registry *r, enum fp_kind kind,
                         const struct fp_pg_result *result)
{
    for (int i = 0; i < fp_pg_rows(result); i++) {
        const char *name = fp_pg_text(result, i, 0);
        int32_t id = (int32_t)fp_pg_int(result, i, 1);
        if (id > FP_ID_OTHER || strcmp(name, "__other__") == 0)
            remember(r, kind, name, (uint32_t)strlen(name), id);
    }
}

/* The kind has overflowed: from now on every name of it is either in the cache or "other". */
static enum fp_status load_kind(struct fp_registry *r, struct fp_pg *pg, enum fp_kind kind,
                                struct fp_error *err)
{
    struct fp_pg_param p;
    struct fp_pg_result *result = NULL;
    fp_pg_param_init(&p, FP_PG_INT2, false);
    fp_pg_put_int(&p, kind);
    enum fp_status status = fp_pg_exec(pg, "SELECT name, id FROM flightpath.name WHERE kind = $1",
                                       (struct fp_pg_param *[]){&p}, 1, CALL_MS, &result, err);
    if (status == FP_OK) {
        remember_all(r, kind, result);
        r->full[kind] = true;
    }
    fp_pg_result_free(result);
    fp_pg_param_free(&p);
    return status;
}

static enum fp_status ask(struct fp_registry *r, struct fp_pg *pg, enum fp_kind kind,
                          struct fp_slice name, int cap, int32_t *id, struct fp_error *err)
{
    struct fp_pg_param p[3];
    struct fp_pg_result *result = NULL;
    fp_pg_param_init(&p[0], FP_PG_INT2, false);
    fp_pg_param_init(&p[1], FP_PG_TEXT, true);
    fp_pg_param_init(&p[2], FP_PG_INT4, false);
    fp_pg_put_int(&p[0], kind);
    fp_pg_put_slice(&p[1], name);
    fp_pg_put_int(&p[2], cap);
    enum fp_status status =
        fp_pg_exec(pg, "SELECT name, id FROM flightpath.register_names($1, $2, $3)",
                   (struct fp_pg_param *[]){&p[0], &p[1], &p[2]}, 3, CALL_MS, &result, err);
    if (status == FP_OK && fp_pg_rows(result) != 1)
        status = fp_fail(err, FP_FATAL, "register_names", "postgres",
                         "the name registry gave no answer");
    if (status == FP_OK) {
        *id = (int32_t)fp_pg_int(result, 0, 1);
        if (*id > FP_ID_OTHER)
            remember(r, kind, name.at, name.len, *id);
        else
            status = load_kind(r, pg, kind, err);
    }
    fp_pg_result_free(result);
    for (int i = 0; i < 3; i++)
        fp_pg_param_free(&p[i]);
    return status;
}

enum fp_status fp_registry_id(struct fp_registry *registry, struct fp_pg *pg, enum fp_kind kind,
                              struct fp_slice name, int cap, int32_t *id, struct fp_error *err)
{
    *id = FP_ID_ABSENT;
    if (name.at == NULL || name.len == 0)
        return FP_OK;
    struct named *slot = find(registry, kind, name.at, name.len);
    if (slot->name) {
        *id = slot->id;
        return FP_OK;
    }
    if (registry->full[kind]) {
        *id = FP_ID_OTHER;
        return FP_OK;
    }
    return ask(registry, pg, kind, name, cap, id, err);
}

/* ---- binding --------------------------------------------------------------------------------- */

static enum fp_status bind_names(struct fp_registry *r, struct fp_pg *pg, struct fp_binding *b,
                                 struct fp_error *err)
{
    const struct fp_model *m = b->model;
    enum fp_status status = FP_OK;
    int32_t id;
    for (int i = 0; status == FP_OK && i < m->item_count; i++) {
        status =
            fp_registry_id(r, pg, FP_KIND_ITEM, fp_slice_of(m->items[i].id), INT16_MAX, &id, err);
        b->items[i] = (int16_t)id;
    }
    for (int i = 0; status == FP_OK && i < m->measure_count; i++) {
        status = fp_registry_id(r, pg, FP_KIND_MEASURE, fp_slice_of(m->measures[i].id), INT16_MAX,
                                &id, err);
        b->measures[i] = (int16_t)id;
    }
    for (int i = 0; status == FP_OK && i < m->journey_count; i++)
        status = fp_registry_id(r, pg, FP_KIND_JOURNEY, fp_slice_of(m->journeys[i].id), INT32_MAX,
                                &b->journeys[i], err);
    return status;
}

enum fp_status fp_binding_new(struct fp_registry *registry, struct fp_pg *pg,
                              struct fp_model *model, struct fp_binding **binding,
                              struct fp_error *err)
{
    struct fp_binding *b = fp_must_calloc(1, sizeof *b);
    b->model = fp_model_retain(model);
    b->references = 1;
    b->series = fp_must_calloc((size_t)model->kpi_count + 1, sizeof *b->series);
    b->items = fp_must_calloc((size_t)model->item_count + 1, sizeof *b->items);
    b->measures = fp_must_calloc((size_t)model->measure_count + 1, sizeof *b->measures);
    b->journeys = fp_must_calloc((size_t)model->journey_count + 1, sizeof *b->journeys);
    b->fittings = fp_must_calloc((size_t)model->driver_model_count + 1, sizeof *b->fittings);
    struct fp_series series = {
        b->series, fp_must_calloc((size_t)model->driver_model_count + 1, sizeof(int32_t))};
    enum fp_status status = fp_install(pg, model, &series, err);
    if (status == FP_OK) {
        fp_registry_refresh(registry);
        status = bind_names(registry, pg, b, err);
    }
    for (int i = 0; status == FP_OK && i < model->driver_model_count; i++) {
        if (!fp_fitting_init(&b->fittings[i], model, i, b->items, b->measures))
            abort();
        b->fittings[i].series = series.drivers[i];
    }
    free(series.drivers);
    if (status == FP_OK)
        *binding = b;
    else
        fp_binding_release(b);
    return status;
}

struct fp_binding *fp_binding_retain(struct fp_binding *binding)
{
    __atomic_add_fetch(&binding->references, 1, __ATOMIC_RELAXED);
    return binding;
}

void fp_binding_release(struct fp_binding *binding)
{
    if (binding == NULL || __atomic_sub_fetch(&binding->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < binding->model->driver_model_count; i++)
        fp_fitting_free(&binding->fittings[i]);
    fp_model_release(binding->model);
    free(binding->fittings);
    free(binding->series);
    free(binding->items);
    free(binding->measures);
    free(binding->journeys);
    free(binding);
}
