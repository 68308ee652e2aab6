/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `flightpath verify` found: checks with their differences, and what could not be compared.
 * Threads: none; caller serialises. Memory: fixed, apart from the notes. */
#ifndef FP_VERIFY_REPORT_H
#define FP_VERIFY_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FP_VERIFY_SHOWN 20 /* differences of a check that are told in full */
#define FP_VERIFY_NOTES 64

enum fp_check {
    FP_CHECK_TALLY_HOUR,
    FP_CHECK_TALLY_DAY,
    FP_CHECK_SKETCH_DAY,
    FP_CHECK_COVERAGE_DAY,
    FP_CHECK_PREDICTION,
    FP_CHECK_RESPONSES,
    FP_CHECK_DRIVERS,
    FP_CHECK_REJECTS,
    FP_CHECK_LEDGER,
    FP_CHECK_TOMBSTONES,
    FP_CHECK_RESPONSE_HOURS, /* the stored responses summed by SQL against tally_hour */
    FP_CHECK_RESPONSE_DAYS,
    FP_CHECKS
};

struct fp_difference {
    char key[420], log[200], database[200];
};

struct fp_check_result {
    bool done; /* else it is among the notes why not */
    int64_t compared, differences;
    struct fp_difference shown[FP_VERIFY_SHOWN];
};

struct fp_report {
    struct fp_check_result check[FP_CHECKS];
    char notes[FP_VERIFY_NOTES][320]; /* what was not compared, and why */
    int note_count;
    int64_t messages, started_ms, elapsed_ms;
    struct fp_difference spare; /* where differences beyond those shown are written */
};

/* Counts a difference and says where to write it: key, log, database. */
struct fp_difference *fp_report_differ(struct fp_report *report, enum fp_check check);
/* The same text is kept once. */
void fp_report_note(struct fp_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int64_t fp_report_differences(const struct fp_report *report);
void fp_report_print(const struct fp_report *report, bool json, FILE *out);

#endif
