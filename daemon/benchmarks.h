/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How units compare on each KPI (analytics/benchmark.h) over the 30 days of kpi_now, computed from
 * the tallies and stored for the view `benchmark`. Threads: the caller's connection. */
#ifndef FP_BENCHMARKS_H
#define FP_BENCHMARKS_H

#include "daemon/pg.h"
#include "daemon/registry.h"

/* Computes one KPI of the binding whose result is not that of its tallies any more (another sum of
 * the window, another window, definition, min_n or external value). A KPI is looked at again after
 * every_ms at the earliest, and so that all together take at most a tenth of the time; any_time:
 * whatever was said, but each once a call. *found: one was computed; call again. A KPI is locked
 * with SKIP LOCKED and done in one transaction, by any replica, with the same rows. One that cannot
 * be done is put aside for a minute, with an error in the log. FP_RETRY: call again later. */
enum fp_status fp_benchmarks_refresh(struct fp_pg *pg, const struct fp_binding *binding,
                                     int64_t every_ms, bool any_time, bool *found,
                                     struct fp_error *err) FP_MUST_CHECK;

#endif
