/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names as the small integers of the database (flightpath.name), cached.
 *
 * An id never changes, so the cache never has to be undone. A name met for the first time costs one
 * round trip; once a kind is full, unknown names are "__other__" without asking again.
 * Threads: one (the ingest loop). */
#ifndef FP_REGISTRY_H
#define FP_REGISTRY_H

#include "daemon/fitting.h"
#include "daemon/model.h"
#include "daemon/pg.h"

#define FP_ID_ABSENT 0
#define FP_ID_OTHER 1

struct fp_registry;

struct fp_registry *fp_registry_new(void); /* NULL: no memory */
void fp_registry_free(struct fp_registry *registry);

/* Forgets which kinds are full: call when a model was installed (it may have declared names). */
void fp_registry_refresh(struct fp_registry *registry);

/* The id of a name; FP_ID_ABSENT for an absent slice. cap: undeclared names of this kind at most.
 */
enum fp_status fp_registry_id(struct fp_registry *registry, struct fp_pg *pg, enum fp_kind kind,
                              struct fp_slice name, int cap, int32_t *id,
                              struct fp_error *err) FP_MUST_CHECK;

/* A model together with its ids in the database. Reference counted like the model; immutable. */
struct fp_binding {
    struct fp_model *model;
    int32_t *series;           /* per KPI */
    int16_t *items, *measures; /* per dense id */
    int32_t *journeys;         /* per dense id */
    struct fp_fitting *fittings; /* per driver model */
    int references;            /* atomic */
};

/* Installs the model (fp_install) and looks its names up. */
enum fp_status fp_binding_new(struct fp_registry *registry, struct fp_pg *pg,
                              struct fp_model *model, struct fp_binding **binding,
                              struct fp_error *err) FP_MUST_CHECK;
struct fp_binding *fp_binding_retain(struct fp_binding *binding);
void fp_binding_release(struct fp_binding *binding);

#endif
