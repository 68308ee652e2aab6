/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `flightpath check`: configuration, model and sample messages, offline, everything at once.
 *
 * What the parser of options refuses has been said before this runs; here come the files the
 * options name, what the Kafka client cannot do, the model, and each message: decoded and, when the
 * model is sound, resolved against it, just as `run` would. Messages come from --messages FILE (one
 * JSON document a line) or from files named as arguments (one raw message each). Findings are kept
 * and printed at the end, as text or, with --json, as one object. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/command.h"
#include "daemon/event.h"
#include "daemon/model.h"
#include "daemon/resolve.h"
#include "daemon/subject.h"

#define FINDINGS_MAX 1000
#define FILE_BYTES_MAX ((size_t)8 * 1024 * 1024) /* more than any message may have */

struct finding {
    const char *file; /* borrowed; "" = the configuration */
    int64_t line;     /* 0: none */
    char path[160], code[40], what[320], hint[240];
};

struct check {
    struct finding *findings;
    int count, capacity;
    int64_t unlisted; /* beyond FINDINGS_MAX */
    struct fp_model *model;
    struct fp_decoder *decoder;
    int64_t messages, types[FP_EVENT_TYPES];
    const char *notes[3];
    int note_count;
};

/* ---- findings -------------------------------------------------------------------------------- */

static void add(struct check *check, const char *file, int64_t line, const struct finding *finding)
{
    if (check->count == FINDINGS_MAX) {
        check->unlisted++;
        return;
    }
    if (check->count == check->capacity) {
        int capacity = check->capacity ? 2 * check->capacity : 16;
        struct finding *findings = realloc(check->findings, (size_t)capacity * sizeof *findings);
        if (findings == NULL) {
            check->unlisted++;
            return;
        }
        check->findings = findings;
        check->capacity = capacity;
    }
    struct finding *kept = &check->findings[check->count++];
    *kept = *finding;
    kept->file = file;
    kept->line = line;
}

static void add_error(struct check *check, const char *file, int64_t line,
                      const struct fp_error *err)
{
    struct finding finding = {0};
    snprintf(finding.path, sizeof finding.path, "%s", err->where);
    snprintf(finding.code, sizeof finding.code, "%s", err->code);
    snprintf(finding.what, sizeof finding.what, "%s", err->what);
    add(check, file, line, &finding);
}

static void add_unreadable(struct check *check, const char *file, int failure)
{
    struct finding finding = {.code = "unreadable", .hint = "check the path and its permissions"};
    snprintf(finding.what, sizeof finding.what, "cannot read it: %s", strerror(failure));
    add(check, file, 0, &finding);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void check_configuration(struct check *check, const struct fp_options *options)
{
    struct fp_subject_key *key = NULL;
    struct fp_error err = {0};
    if (fp_subject_key_open(options->subject_key_file, &key, &err) != FP_OK)
        add_error(check, options->subject_key_file, 0, &err);
    fp_subject_key_free(key);
    if (*options->subject_key_file == '\0')
        check->notes[check->note_count++] =
            "subject_key_file is not set: subjects are not stored, so erasure finds nothing";
    bool scram = false;
    for (size_t i = 0; i < options->kafka.property_count; i++) {
        const struct fp_property *property = &options->kafka.properties[i];
        scram |= strncmp(property->name, "sasl.mechanism", 14) == 0 &&
                 strncasecmp(property->value, "SCRAM", 5) == 0;
    }
    if (scram)
        check->notes[check->note_count++] =
            "SCRAM with Kafka 4 brokers needs librdkafka 2.6.1 or newer; Kafka 3 works with any";
}

/* ---- model ----------------------------------------------------------------------------------- */

/* Answers given without reading them look like any others to every KPI but this one. */
static void suggest_straight_lining(struct check *check)
{
    const struct fp_model *model = check->model;
    bool answers = false;
    int most = 0;
    for (int i = 0; i < model->kpi_count; i++) {
        if (model->kpis[i].source == FP_SOURCE_STRAIGHT_LINING)
            return;
        answers |= fp_kpi_of_answers(&model->kpis[i]);
    }
    for (int scale = 0; scale < model->scale_count; scale++) {
        int items = 0;
        for (int i = 0; i < model->item_count; i++)
            items += model->items[i].scale == scale;
        most = items > most ? items : most;
    }
    if (answers && most >= FP_STRAIGHT_MIN)
        check->notes[check->note_count++] =
            "no KPI shows answers that are all alike: add one with the source "
            "{\"straight_lining\": true}";
}

static void check_model(struct check *check, const char *path)
{
    struct fp_problems problems = {0};
    if (fp_model_load(path, &check->model, &problems) != FP_OK)
        check->model = NULL;
    if (check->model)
        suggest_straight_lining(check);
    for (int i = 0; i < problems.count; i++) {
        const struct fp_problem *problem = &problems.at[i];
        struct finding finding = {.code = "model"};
        memcpy(finding.path, problem->path, sizeof problem->path);
        snprintf(finding.what, sizeof finding.what, "%s", problem->what);
        memcpy(finding.hint, problem->hint, sizeof problem->hint);
        add(check, path, 0, &finding);
    }
    fp_problems_free(&problems);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void check_message(struct check *check, const char *file, int64_t line, const char *bytes,
                          size_t len)
{
    struct fp_record record = {
        .topic = file, .offset = line, .timestamp_ms = -1, .value = bytes, .len = len};
    struct fp_event event;
    struct fp_fact fact;
    struct fp_error err = {0};
    check->messages++;
    enum fp_status status = fp_decode(check->decoder, &record, &event, &err);
    if (status == FP_OK && check->model && event.type != FP_EVENT_FOREIGN)
        status = fp_resolve(check->model, &event, record.timestamp_ms, &fact, &err);
    if (status == FP_OK)
        check->types[event.type]++;
    else
        add_error(check, file, line, &err);
}

static void check_lines(struct check *check, const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        add_unreadable(check, path, errno);
        return;
    }
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    for (int64_t number = 1; (len = getline(&line, &capacity, file)) >= 0; number++) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (len > 0)
            check_message(check, path, number, line, (size_t)len);
    }
    if (ferror(file))
        add_unreadable(check, path, errno);
    free(line);
    fclose(file);
}

static void check_raw(struct check *check, const char *path)
{
    FILE *file = fopen(path, "rbe");
    char *bytes = file ? malloc(FILE_BYTES_MAX) : NULL;
    size_t len = bytes ? fread(bytes, 1, FILE_BYTES_MAX, file) : 0;
    if (bytes == NULL || ferror(file))
        add_unreadable(check, path, errno);
    else
        check_message(check, path, 0, bytes, len);
    free(bytes);
    if (file)
        fclose(file);
}

static void check_messages(struct check *check, const struct fp_options *options)
{
    check->decoder = fp_decoder_new(NULL);
    if (check->decoder == NULL) {
        add_unreadable(check, "", ENOMEM);
        return;
    }
    if (*options->messages_file)
        check_lines(check, options->messages_file);
    for (size_t i = 0; i < options->argument_count; i++)
        check_raw(check, options->arguments[i]);
    fp_decoder_free(check->decoder);
}

/* ---- text ------------------------------------------------------------------------------------ */

static int main_journeys(const struct fp_model *model)
{
    int count = 0;
    for (int i = 0; i < model->journey_count; i++)
        count += model->journeys[i].parent == FP_NONE;
    return count;
}

static void print_contents(const struct fp_model *model)
{
    int journeys = main_journeys(model);
    printf("%s (%s, %s), model %.12s\n\n", model->programme, model->programme_name,
           model->time_zone, model->hash);
    printf("  journeys       %5d main, %d detailed\n", journeys, model->journey_count - journeys);
    printf("  touchpoints    %5d\n", model->touchpoint_count);
    printf("  units          %5d\n", model->unit_count);
    printf("  owners         %5d\n", model->owner_count);
    printf("  items          %5d on %d scales\n", model->item_count, model->scale_count);
    printf("  measures       %5d\n", model->measure_count);
    printf("  KPIs           %5d\n", model->kpi_count);
    printf("  driver models  %5d\n", model->driver_model_count);
    printf("  interventions  %5d\n", model->intervention_count);
    printf("  promises       %5d\n\n", model->promise_count);
}

static void print_text(const struct check *check)
{
    for (int i = 0; i < check->count; i++) {
        const struct finding *f = &check->findings[i];
        fputs(*f->file ? f->file : "configuration", stdout);
        if (f->line > 0)
            printf(":%lld", (long long)f->line);
        printf(": %s%s%s%s", f->path, *f->path ? ": " : "", f->what, *f->hint ? " — " : "\n");
        if (*f->hint)
            printf("%s\n", f->hint);
    }
    if (check->unlisted > 0)
        printf("… and %lld more\n", (long long)check->unlisted);
    if (check->model && check->count == 0)
        print_contents(check->model);
    for (int i = 0; i < check->note_count; i++)
        printf("note: %s\n", check->notes[i]);
    if (check->messages > 0)
        printf("%lld messages read\n", (long long)check->messages);
    if (check->count > 0)
        printf("%lld %s found\n", (long long)(check->count + check->unlisted),
               check->count == 1 ? "problem" : "problems");
    else
        puts("no problems found");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_member(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    print_string(text);
}

static void print_json_model(const struct fp_model *model)
{
    int journeys = main_journeys(model);
    printf(",\"model\":{\"hash\":\"%s\"", model->hash);
    print_member("programme", model->programme);
    print_member("time_zone", model->time_zone);
    printf(",\"journeys\":%d,\"detailed_journeys\":%d,\"touchpoints\":%d,\"units\":%d,"
           "\"owners\":%d,\"scales\":%d,\"items\":%d,\"measures\":%d,\"kpis\":%d,"
           "\"driver_models\":%d,\"interventions\":%d,\"promises\":%d}",
           journeys, model->journey_count - journeys, model->touchpoint_count, model->unit_count,
           model->owner_count, model->scale_count, model->item_count, model->measure_count,
           model->kpi_count, model->driver_model_count, model->intervention_count,
           model->promise_count);
}

static void print_json(const struct check *check)
{
    static const char *const types[] = {"touchpoint",   "response", "invitation", "case",
                                        "intervention", "erasure",  "foreign"};
    printf("{\"ok\":%s", check->count == 0 ? "true" : "false");
    if (check->model)
        print_json_model(check->model);
    else
        fputs(",\"model\":null", stdout);
    printf(",\"messages\":{\"read\":%lld", (long long)check->messages);
    for (int i = 0; i < FP_EVENT_TYPES; i++)
        printf(",\"%s\":%lld", types[i], (long long)check->types[i]);
    fputs("},\"problems\":[", stdout);
    for (int i = 0; i < check->count; i++) {
        const struct finding *f = &check->findings[i];
        printf("%s{\"file\":", i ? "," : "");
        print_string(f->file);
        if (f->line > 0)
            printf(",\"line\":%lld", (long long)f->line);
        else
            fputs(",\"line\":null", stdout);
        print_member("path", f->path);
        print_member("code", f->code);
        print_member("what", f->what);
        print_member("hint", f->hint);
        putchar('}');
    }
    printf("],\"unlisted\":%lld,\"notes\":[", (long long)check->unlisted);
    for (int i = 0; i < check->note_count; i++) {
        fputs(i ? "," : "", stdout);
        print_string(check->notes[i]);
    }
    puts("]}");
}

int fp_cmd_check(const struct fp_options *options)
{
    struct check check = {0};
    check_configuration(&check, options);
    if (*options->model)
        check_model(&check, options->model);
    check_messages(&check, options);
    if (options->json)
        print_json(&check);
    else
        print_text(&check);
    bool good = check.count == 0 && check.unlisted == 0;
    fp_model_release(check.model);
    free(check.findings);
    return good ? FP_EXIT_OK : FP_EXIT_USAGE;
}
