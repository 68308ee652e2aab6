/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was found, as lines for a person or as one JSON object.
 *
 * Ids of responses are the producers' own text, so everything told is escaped in both forms. A
 * check that could not be made is not among the lines: a note says why. */
#include "daemon/verify_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "daemon/log.h"

static const struct {
    const char *name, *unit, *what;
} checks[FP_CHECKS] = {
    [FP_CHECK_TALLY_HOUR] = {"tally_hour", "cells", "log against table"},
    [FP_CHECK_TALLY_DAY] = {"tally_day", "cells", "log against table"},
    [FP_CHECK_SKETCH_DAY] = {"sketch_day", "cells", "log against table"},
    [FP_CHECK_COVERAGE_DAY] = {"coverage_day", "cells", "log against table"},
    [FP_CHECK_PREDICTION] = {"prediction", "cells", "log against table"},
    [FP_CHECK_RESPONSES] = {"response", "responses", "log against table"},
    [FP_CHECK_DRIVERS] = {"driver_state", "states",
                          "sums by the log against driver_state and driver_log"},
    [FP_CHECK_REJECTS] = {"reject", "rejects", "log against table"},
    [FP_CHECK_LEDGER] = {"ledger", "ranges", "log against table, and its balance"},
    [FP_CHECK_TOMBSTONES] = {"tombstone", "tombstones", "log against table"},
    [FP_CHECK_RESPONSE_HOURS] = {"response_hours", "cells",
                                 "stored responses summed by SQL against tally_hour"},
    [FP_CHECK_RESPONSE_DAYS] = {"response_days", "cells",
                                "stored responses summed by SQL against tally_day"},
};

struct fp_difference *fp_report_differ(struct fp_report *report, enum fp_check check)
{
    struct fp_check_result *result = &report->check[check];
    struct fp_difference *d = &report->spare;
    if (result->differences < FP_VERIFY_SHOWN)
        d = &result->shown[result->differences];
    result->differences++;
    *d = (struct fp_difference){.key = ""};
    return d;
}

void fp_report_note(struct fp_report *report, const char *format, ...)
{
    char text[sizeof report->notes[0]];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (int i = 0; i < report->note_count; i++)
        if (strcmp(report->notes[i], text) == 0)
            return;
    if (report->note_count == FP_VERIFY_NOTES)
        snprintf(report->notes[FP_VERIFY_NOTES - 1], sizeof text, "and more");
    else
        memcpy(report->notes[report->note_count++], text, sizeof text);
}

int64_t fp_report_differences(const struct fp_report *report)
{
    int64_t sum = 0;
    for (int i = 0; i < FP_CHECKS; i++)
        sum += report->check[i].differences;
    return sum;
}

static int64_t cells(const struct fp_report *report)
{
    int64_t sum = 0;
    for (int i = FP_CHECK_TALLY_HOUR; i <= FP_CHECK_COVERAGE_DAY; i++)
        sum += report->check[i].compared;
    return sum;
}

/* Ids of responses are the producer's own text: escaped in both forms. */
static const char *safe(const char *text, char *room, size_t size)
{
    fp_log_escape(room, size, text);
    return room;
}

#define ROOM 1300

static void print_check(const struct fp_check_result *c, int which, FILE *out)
{
    char a[ROOM], b[ROOM], d[ROOM];
    if (!c->done)
        return;
    fprintf(out, "%-15s %10" PRId64 " %-10s ", checks[which].name, c->compared, checks[which].unit);
    if (c->differences == 0) {
        fprintf(out, "no difference   (%s)\n", checks[which].what);
        return;
    }
    fprintf(out, "%" PRId64 " difference%s   (%s)\n", c->differences,
            c->differences == 1 ? "" : "s", checks[which].what);
    for (int64_t i = 0; i < c->differences && i < FP_VERIFY_SHOWN; i++)
        fprintf(out, "    %s: log %s, database %s\n", safe(c->shown[i].key, a, ROOM),
                safe(c->shown[i].log, b, ROOM), safe(c->shown[i].database, d, ROOM));
    if (c->differences > FP_VERIFY_SHOWN)
        fprintf(out, "    and %" PRId64 " more\n", c->differences - FP_VERIFY_SHOWN);
}

static void print_text(const struct fp_report *report, FILE *out)
{
    int64_t differences = fp_report_differences(report);
    for (int i = 0; i < FP_CHECKS; i++)
        print_check(&report->check[i], i, out);
    for (int i = 0; i < report->note_count; i++)
        fprintf(out, "not compared: %s\n", report->notes[i]);
    fprintf(out, "verify: %" PRId64 " cells, %" PRId64 " responses, %" PRId64 " rejects: ",
            cells(report), report->check[FP_CHECK_RESPONSES].compared,
            report->check[FP_CHECK_REJECTS].compared);
    if (differences == 0)
        fputs("no difference\n", out);
    else
        fprintf(out, "%" PRId64 " difference%s\n", differences, differences == 1 ? "" : "s");
}

static void print_json_check(const struct fp_check_result *c, int which, FILE *out)
{
    char a[ROOM], b[ROOM], d[ROOM];
    fprintf(out,
            "{\"name\": \"%s\", \"done\": %s, \"compared\": %" PRId64 ", \"differences\": %" PRId64
            ", \"examples\": [",
            checks[which].name, c->done ? "true" : "false", c->compared, c->differences);
    for (int64_t i = 0; i < c->differences && i < FP_VERIFY_SHOWN; i++)
        fprintf(out, "%s{\"key\": \"%s\", \"log\": \"%s\", \"database\": \"%s\"}", i ? ", " : "",
                safe(c->shown[i].key, a, ROOM), safe(c->shown[i].log, b, ROOM),
                safe(c->shown[i].database, d, ROOM));
    fputs("]}", out);
}

static void print_json(const struct fp_report *report, FILE *out)
{
    char a[ROOM];
    int64_t differences = fp_report_differences(report);
    fprintf(out,
            "{\"agrees\": %s, \"differences\": %" PRId64 ", \"cells\": %" PRId64
            ", \"responses\": %" PRId64 ", \"rejects\": %" PRId64 ", \"messages\": %" PRId64
            ", \"elapsed_ms\": %" PRId64 ", \"checks\": [",
            differences ? "false" : "true", differences, cells(report),
            report->check[FP_CHECK_RESPONSES].compared, report->check[FP_CHECK_REJECTS].compared,
            report->messages, report->elapsed_ms);
    for (int i = 0; i < FP_CHECKS; i++) {
        fputs(i ? ", " : "", out);
        print_json_check(&report->check[i], i, out);
    }
    fputs("], \"not_compared\": [", out);
    for (int i = 0; i < report->note_count; i++)
        fprintf(out, "%s\"%s\"", i ? ", " : "", safe(report->notes[i], a, ROOM));
    fputs("]}\n", out);
}

void fp_report_print(const struct fp_report *report, bool json, FILE *out)
{
    if (json)
        print_json(report, out);
    else
        print_text(report, out);
}
