/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Predictions of the log against flightpath.prediction; part of `flightpath verify` (verify.h).
 *
 * Of events: the models and versions of the coefficients that the ledger's ranges name, through the
 * kernel that every processor has. Of answers: what stands of each response, by the model of its
 * range. Nothing of it is shared with the daemon but decoding, resolving and the kernel.
 * Threads: none; caller serialises. */
#ifndef FP_VERIFY_PREDICTIONS_H
#define FP_VERIFY_PREDICTIONS_H

#include "daemon/verify.h"

struct fp_verify_predictions;

/* Coefficients and series of the snapshot; after the models and the ledger are read. */
enum fp_status fp_verify_predictions_open(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
void fp_verify_predictions_free(struct fp_verify_predictions *predictions);

/* Calls `add` for what an event of the range adds. */
void fp_verify_predict(struct fp_verify *v, int range, const struct fp_fact *fact, int32_t unit,
                       void (*add)(void *context, const struct fp_sum_entry *entry), void *context);
/* Driver models (bits) of the range's model that a response is held against. */
uint64_t fp_verify_observed_by(const struct fp_verify *v, int range, const struct fp_fact *fact);
/* Adds what a response that stands contributes. */
void fp_verify_observe(struct fp_verify *v, const struct fp_verify_row *row, int32_t hour);
/* The series by which cells are compared: one for each definition of a driver model. */
extern const char fp_verify_predictions_sql[];
/* What a person calls a series. */
void fp_verify_predictions_name(const struct fp_verify *v, int32_t series, char *text, size_t size);

#endif
