/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of `flightpath demo`: a stream of known truth through an embedded broker and the real
 * pipeline, then what came out, beside the truth. For daemon/cmd_demo.c and daemon/demo_*.c only.
 */
#ifndef FP_DEMO_H
#define FP_DEMO_H

#include <stdatomic.h>
#include <stdio.h>

#include "daemon/generate.h"
#include "daemon/options.h"
#include "daemon/pg.h"

struct fp_demo {
    const struct fp_options *options;
    struct fp_model *model;
    struct fp_generator *generator;
    struct fp_generate_params params;
    const atomic_bool *stop; /* somebody wants to end it */
    bool quiet;              /* warnings only, and of the Kafka client errors only */
    double seconds;          /* loading took so long */
};

/* Starts the broker and the pipeline, sends everything and waits until all of it is committed. */
enum fp_status fp_demo_load(struct fp_demo *demo, struct fp_error *err) FP_MUST_CHECK;

/* Whether the ledger agrees with the truth goes into *agrees. */
enum fp_status fp_demo_report(const struct fp_demo *demo, struct fp_pg *pg, bool *agrees,
                              struct fp_error *err) FP_MUST_CHECK;

/* A result as a table: a title, then aligned columns; numbers to the right, NULL as "-". */
void fp_demo_table(FILE *out, const char *title, const struct fp_pg_result *result);

#endif
