/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Status of a fallible call: the action the caller must take, not only the cause.
 * Threads: a plain value. Ownership: none. */
#ifndef FP_STATUS_H
#define FP_STATUS_H

#include <stdarg.h>
#include <stdint.h>

#define FP_MUST_CHECK __attribute__((warn_unused_result))

enum fp_status {
    FP_OK = 0,
    FP_REJECT,  /* this message is bad: dead-letter it and go on */
    FP_RETRY,   /* nothing was done; the same call may succeed later */
    FP_UNKNOWN, /* the outcome of a COMMIT is not known: lock the position row and compare */
    FP_FENCED,  /* somebody else owns the partition: drop the batch, re-read positions */
    FP_POISON,  /* the data of this batch cannot be stored: bisect it */
    FP_FATAL    /* stop the process; restarting may or may not help */
};

/* Why a call failed, for a person. `where` names a field path, a file or a statement. */
struct fp_error {
    char code[40];   /* stable machine-readable reason, e.g. "type_mismatch", or an SQLSTATE */
    char where[160]; /* e.g. "data.scores.recommend"; may be empty */
    char what[320];  /* one sentence that says what is wrong and how to mend it */
};

/* Fills *err (may be NULL) and returns `status`, so that callers write `return fp_fail(…)`.
 * Strings are truncated to fit; control characters are replaced. */
enum fp_status fp_fail(struct fp_error *err, enum fp_status status, const char *code,
                       const char *where, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

const char *fp_status_name(enum fp_status status);

#endif
