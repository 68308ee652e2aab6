/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath erase: asks, through Kafka, to forget subjects.
 *
 * The request is a message like any other, so that it keeps its place in the log: what a replay
 * brings back later, the replayed request takes out again. Whichever daemon reads it does the work.
 * With --postgres the command waits for the receipt; without, it says how to find it. The subject
 * is a personal datum: it is read from standard input on request, and printed masked. */
#include "daemon/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/json.h"
#include "daemon/kafka.h"
#include "daemon/log.h"
#include "daemon/pg.h"

#define SOURCE "/flightpath/erase"
#define SUBJECT_BYTES_MAX 256
#define SUBJECTS_MAX 10000
#define FLUSH_MS 60000
#define RECEIPT_MS 60000
#define CONNECT_MS 10000

struct request {
    char subject[SUBJECT_BYTES_MAX + 1];
    char id[40];
};

struct requests {
    struct request *at;
    size_t count;
    const char *topic;
    char time[40];
};

static int misused(const char *what)
{
    fprintf(stderr, "flightpath erase: %s\n", what);
    return FP_EXIT_USAGE;
}

static int failed(const struct fp_error *err)
{
    fprintf(stderr, "flightpath erase: %s%s%s (%s)\n", err->where, *err->where ? ": " : "",
            err->what, err->code);
    return FP_EXIT_FAILED;
}

/* ---- whom ------------------------------------------------------------------------------------ */

/* A random UUID (RFC 9562, version 4). */
static bool make_id(char out[40])
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        return false;
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    for (int i = 0, at = 0; i < 16; i++)
        at += sprintf(out + at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
    return true;
}

/* What is wrong with a subject, or NULL. */
static const char *add(struct requests *all, const char *subject, size_t len)
{
    if (len == 0)
        return "a subject is empty; give it as it is written in `subject` of the messages";
    if (len > SUBJECT_BYTES_MAX)
        return "a subject is longer than 256 bytes: no message can have had it";
    if (!fp_json_valid_utf8(subject, len) || memchr(subject, '\0', len) != NULL)
        return "a subject is not UTF-8 text: no message can have had it";
    if (all->count == SUBJECTS_MAX)
        return "more than 10,000 subjects; give them in several goes";
    struct request *more = realloc(all->at, (all->count + 1) * sizeof *more);
    if (more == NULL)
        return "out of memory";
    all->at = more;
    struct request *new = &all->at[all->count];
    memcpy(new->subject, subject, len);
    new->subject[len] = '\0';
    if (!make_id(new->id))
        return "the kernel gave no random bytes";
    all->count++;
    return NULL;
}

static const char *read_subjects(struct requests *all)
{
    char *line = NULL;
    size_t size = 0;
    const char *wrong = NULL;
    for (ssize_t len; wrong == NULL && (len = getline(&line, &size, stdin)) >= 0;) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (len > 0)
            wrong = add(all, line, (size_t)len);
    }
    free(line);
    return wrong             ? wrong
           : all->count == 0 ? "standard input held no subject; give one a line"
                             : NULL;
}

static const char *collect(const struct fp_options *options, struct requests *all)
{
    if (options->argument_count == 0)
        return "erase whom? Give subjects, or - to read them from standard input, one a line, so "
               "that they do not show in the list of processes";
    if (options->argument_count == 1 && strcmp(options->arguments[0], "-") == 0)
        return read_subjects(all);
    const char *wrong = NULL;
    for (size_t i = 0; wrong == NULL && i < options->argument_count; i++)
        wrong = add(all, options->arguments[i], strlen(options->arguments[i]));
    return wrong;
}

/* The first character of long subjects, and how long they are. */
static void mask(const char *subject, char *out, size_t size)
{
    size_t len = strlen(subject);
    if (len >= 6 && subject[0] > ' ' && subject[0] < 0x7F)
        snprintf(out, size, "%c*** (%zu bytes)", subject[0], len);
    else
        snprintf(out, size, "*** (%zu bytes)", len);
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum fp_status send_one(struct fp_producer *producer, const struct requests *all,
                               const struct request *request, struct fp_error *err)
{
    static const struct fp_header type = {"content-type", "application/cloudevents+json", 28};
    char escaped[SUBJECT_BYTES_MAX * 6 + 1], body[sizeof escaped + 512];
    fp_log_escape(escaped, sizeof escaped, request->subject);
    int len =
        snprintf(body, sizeof body,
                 "{\"specversion\": \"1.0\", \"id\": \"%s\", \"source\": \"" SOURCE "\", "
                 "\"type\": \"experience.erasure.v1\", \"time\": \"%s\", "
                 "\"datacontenttype\": \"application/json\", \"data\": {\"subject\": \"%s\"}}",
                 request->id, all->time, escaped);
    struct fp_record record = {.topic = all->topic,
                               .partition = -1,
                               .key = request->subject,
                               .key_len = strlen(request->subject),
                               .value = body,
                               .len = (size_t)len,
                               .headers = &type,
                               .header_count = 1};
    return fp_producer_send(producer, &record, err);
}

static enum fp_status send_all(const struct fp_options *options, const struct requests *all,
                               struct fp_error *err)
{
    struct fp_producer *producer = NULL;
    struct fp_error why;
    enum fp_status status = fp_producer_open(&options->kafka, &producer, err);
    for (size_t i = 0; status == FP_OK && i < all->count; i++)
        status = send_one(producer, all, &all->at[i], err);
    if (status == FP_OK && fp_producer_flush(producer, FLUSH_MS, &why) != FP_OK)
        status =
            fp_fail(err, FP_FATAL, why.code, all->topic,
                    "Kafka did not acknowledge the request: %.160s. Nothing is certain; send it "
                    "again, twice does no harm",
                    why.what);
    fp_producer_close(producer);
    return status;
}

static void tell(const struct fp_options *options, const struct requests *all)
{
    for (size_t i = 0; i < all->count; i++) {
        char masked[40];
        mask(all->at[i].subject, masked, sizeof masked);
        if (options->json)
            printf(
                "{\"id\": \"%s\", \"source\": \"" SOURCE "\", \"topic\": \"%s\", \"time\": \"%s\", "
                "\"subject\": \"%s\", \"sent\": %s}\n",
                all->at[i].id, all->topic, all->time, masked, options->dry_run ? "false" : "true");
        else
            printf("%s to %s: erase %s, request %s of %s\n",
                   options->dry_run ? "would send" : "sent", all->topic, masked, all->at[i].id,
                   all->time);
    }
    fflush(stdout);
}

/* ---- the receipt ----------------------------------------------------------------------------- */

static void explain(const struct requests *all)
{
    printf("The daemon that reads it leaves a receipt:\n  psql -c \"SELECT r.* FROM "
           "flightpath.erasure_receipt r WHERE r.id = '%s'\"\n",
           all->at[0].id);
}

static enum fp_status look(struct fp_pg *pg, const char *id, bool *there, bool json,
                           struct fp_error *err)
{
    struct fp_pg_param param, *params[] = {&param};
    struct fp_pg_result *result = NULL;
    fp_pg_param_init(&param, FP_PG_TEXT, false);
    fp_pg_put_slice(&param, fp_slice_of(id));
    enum fp_status status = fp_pg_exec(pg,
                                       "SELECT responses, invitations, cases FROM "
                                       "flightpath.erasure_receipt WHERE id = $1",
                                       params, 1, CONNECT_MS, &result, err);
    *there = status == FP_OK && fp_pg_rows(result) > 0;
    if (*there)
        printf(json ? "{\"id\": \"%s\", \"responses\": %" PRId64 ", \"invitations\": %" PRId64
                      ", \"cases\": %" PRId64 "}\n"
                    : "receipt %s: erased %" PRId64 " responses, %" PRId64 " invitations, %" PRId64
                      " case events\n",
               id, fp_pg_int(result, 0, 0), fp_pg_int(result, 0, 1), fp_pg_int(result, 0, 2));
    fp_pg_result_free(result);
    fp_pg_param_free(&param);
    return status;
}

static enum fp_status await_receipts(const struct fp_options *options, const struct requests *all,
                                     struct fp_error *err)
{
    struct fp_pg *pg = NULL;
    enum fp_status status = fp_pg_open(options->postgres, options->postgres_password,
                                       "flightpath/erase", CONNECT_MS, &pg, err);
    int64_t deadline = fp_now_ms() + RECEIPT_MS;
    for (size_t i = 0; status == FP_OK && i < all->count;) {
        bool there;
        status = look(pg, all->at[i].id, &there, options->json, err);
        i += there;
        if (status != FP_OK || there)
            continue;
        if (fp_now_ms() > deadline)
            status = fp_fail(
                err, FP_FATAL, "no_receipt", all->topic,
                "sent, but %zu of %zu receipts are not there after %d s. Does a daemon with "
                "a subject_key_file read this topic, into this database? If it lags, the "
                "receipt will come",
                all->count - i, all->count, RECEIPT_MS / 1000);
        else
            nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
    fp_pg_close(pg);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run(const struct fp_options *options, const struct requests *all)
{
    struct fp_error err = {"", "", ""};
    enum fp_status status = FP_OK;
    if (!options->dry_run)
        status = send_all(options, all, &err);
    if (status == FP_OK)
        tell(options, all);
    if (status == FP_OK && !options->dry_run && *options->postgres)
        status = await_receipts(options, all, &err);
    else if (status == FP_OK && !options->dry_run && !options->json)
        explain(all);
    return status == FP_OK ? FP_EXIT_OK : failed(&err);
}

/* To the microsecond: what was submitted until then is erased. */
static void write_now(char *out, size_t size)
{
    int64_t now_us = fp_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + len, size - len, ".%06dZ", (int)(now_us % 1000000));
}

int fp_cmd_erase(const struct fp_options *options)
{
    struct requests all = {.topic = options->topic[options->topic_count > 1 ? 1 : 0]};
    bool brokers = false;
    for (size_t i = 0; i < options->kafka.property_count; i++)
        brokers |= strcmp(options->kafka.properties[i].name, "bootstrap.servers") == 0;
    const char *wrong =
        brokers ? collect(options, &all) : "say which brokers: --kafka.bootstrap.servers HOST:PORT";
    write_now(all.time, sizeof all.time);
    int code = wrong ? misused(wrong) : run(options, &all);
    free(all.at);
    return code;
}
