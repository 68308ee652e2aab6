/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath generate: draws a stream from a model, and writes it to Kafka or to a file.
 *
 * A file holds one JSON object per line: {"topic", "key", "headers", "timestamp", "value_base64"},
 * so that malformed bytes survive; with --plain it holds the values of well-formed messages alone.
 * A stream that could not be delivered whole is an error: its truth would be wrong. */
#include "daemon/command.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/generate.h"
#include "daemon/timestamp.h"

#define FLUSH_EVERY 500000
#define FLUSH_MS 120000
#define PROGRESS_EVERY 4096
#define PROGRESS_MS 200

struct output {
    struct fp_producer *producer; /* or */
    FILE *file;
    const char *file_name;
    bool plain;
    char *base64; /* grows */
    size_t base64_size;
};

static int failed(const struct fp_error *err)
{
    fprintf(stderr, "flightpath generate: %s%s%s\n", err->where, *err->where ? ": " : "",
            err->what);
    return FP_EXIT_FAILED;
}

static enum fp_status write_failed(const char *name, struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "file", name, "cannot write: %s", strerror(errno));
}

/* ---- what to draw -----------------------------------------------------------------------------
 */

static struct fp_model *load_model(const struct fp_options *options)
{
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    if (options->model == NULL || *options->model == '\0') {
        fputs("flightpath generate: give the experience model to draw from with --model FILE\n",
              stderr);
        return NULL;
    }
    if (fp_model_load(options->model, &model, &problems) != FP_OK) {
        fprintf(stderr, "flightpath generate: %s: %d problem(s):\n", options->model,
                problems.count);
        for (int i = 0; i < problems.count; i++)
            fprintf(stderr, "  %s: %s%s%s\n", problems.at[i].path, problems.at[i].what,
                    *problems.at[i].hint ? " " : "", problems.at[i].hint);
    }
    fp_problems_free(&problems);
    return model;
}

/* Local midnight of --start, or of the day that makes yesterday the last one. */
static bool start_time(const struct fp_options *options, const struct fp_model *model,
                       int64_t *start_us)
{
    int32_t day = fp_timezone_day(model->zone, fp_wall_us()) - (int32_t)options->days;
    bool given = options->start != NULL && *options->start != '\0';
    if (given && !fp_date_parse(fp_slice_of(options->start), &day)) {
        fprintf(stderr, "flightpath generate: start: '%s' is not a date; give it as YYYY-MM-DD\n",
                options->start);
        return false;
    }
    *start_us = fp_timezone_day_start(model->zone, day);
    return true;
}

static bool make_params(const struct fp_options *options, const struct fp_model *model,
                        struct fp_generate_params *params)
{
    bool reference = options->profile != NULL && strcmp(options->profile, "reference") == 0;
    *params = (struct fp_generate_params){
        .seed = (uint64_t)options->seed,
        .messages = options->messages,
        .days = options->days,
        .units = reference ? 0 : options->units,
        .bad_share = options->bad_share,
        .whole_text = options->plain,
        .profile = reference ? FP_GENERATE_REFERENCE : FP_GENERATE_PROGRAMME,
        .touchpoints_topic =
            options->topic_count > 0 ? options->topic[0] : "experience.touchpoints"};
    params->responses_topic = options->topic_count > 1    ? options->topic[1]
                              : options->topic_count == 1 ? options->topic[0]
                                                          : "experience.responses";
    return start_time(options, model, &params->start_us);
}

/* ---- where to write ---------------------------------------------------------------------------
 */

static enum fp_status open_output(const struct fp_options *options, struct output *out,
                                  struct fp_error *err)
{
    out->plain = options->plain;
    if (options->file != NULL && *options->file != '\0') {
        out->file_name = options->file;
        out->file = strcmp(options->file, "-") == 0 ? stdout : fopen(options->file, "w");
        return out->file != NULL ? FP_OK : write_failed(options->file, err);
    }
    bool brokers = false;
    for (size_t i = 0; i < options->kafka.property_count; i++)
        brokers |= strcmp(options->kafka.properties[i].name, "bootstrap.servers") == 0;
    if (!brokers)
        return fp_fail(err, FP_FATAL, "missing_option", "kafka.bootstrap.servers",
                       "say where to write: --kafka.bootstrap.servers HOST:PORT, or --file FILE");
    if (options->plain)
        return fp_fail(err, FP_FATAL, "bad_option", "plain", "--plain goes with --file FILE");
    return fp_producer_open(&options->kafka, &out->producer, err);
}

static bool put_base64(struct output *out, const void *bytes, size_t len)
{
    size_t need = (len + 2) / 3 * 4 + 1;
    if (need > out->base64_size) {
        free(out->base64);
        out->base64 = malloc(need * 2);
        out->base64_size = out->base64 != NULL ? need * 2 : 0;
        if (out->base64 == NULL)
            return false;
    }
    int coded = EVP_EncodeBlock((unsigned char *)out->base64, bytes, (int)len);
    return fwrite(out->base64, 1, (size_t)coded, out->file) == (size_t)coded;
}

/* Topics, keys and header values of the generator need no escapes in JSON. */
static enum fp_status write_line(struct output *out, const struct fp_record *record,
                                 struct fp_error *err)
{
    FILE *file = out->file;
    errno = ENOMEM;
    bool good = true;
    if (out->plain) {
        good = fwrite(record->value, 1, record->len, file) == record->len;
    } else {
        fprintf(file, "{\"topic\":\"%s\",\"key\":\"%.*s\",\"headers\":{", record->topic,
                (int)record->key_len, (const char *)record->key);
        for (size_t i = 0; i < record->header_count; i++)
            fprintf(file, "%s\"%s\":\"%.*s\"", i > 0 ? "," : "", record->headers[i].name,
                    (int)record->headers[i].len, (const char *)record->headers[i].value);
        fprintf(file, "},\"timestamp\":%lld,\"value_base64\":", (long long)record->timestamp_ms);
        if (record->value == NULL) {
            fputs("null}", file);
        } else {
            fputc('"', file);
            good = put_base64(out, record->value, record->len);
            fputs("\"}", file);
        }
    }
    return good && fputc('\n', file) != EOF ? FP_OK : write_failed(out->file_name, err);
}

static enum fp_status close_output(struct output *out, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    if (out->file != NULL && (fflush(out->file) != 0 || ferror(out->file)))
        status = write_failed(out->file_name, err);
    if (out->file != NULL && out->file != stdout && fclose(out->file) != 0 && status == FP_OK)
        status = write_failed(out->file_name, err);
    fp_producer_close(out->producer);
    free(out->base64);
    return status;
}

/* ---- the run ----------------------------------------------------------------------------------
 */

static void show_progress(int64_t done, int64_t all, int64_t started_ms, int64_t *shown_ms)
{
    int64_t now = fp_now_ms();
    if (done < all && now - *shown_ms < PROGRESS_MS)
        return;
    *shown_ms = now;
    double seconds = (double)(now - started_ms) / 1000;
    fprintf(stderr, "\r%lld of %lld messages (%d %%), %.0f/s ", (long long)done, (long long)all,
            (int)(100 * done / all), seconds > 0 ? (double)done / seconds : 0.0);
    if (done >= all)
        fputc('\n', stderr);
}

static enum fp_status deliver(struct output *out, const struct fp_record *record,
                              struct fp_error *err)
{
    enum fp_status status = fp_producer_send(out->producer, record, err);
    while (status == FP_RETRY) { /* the queue is full: make room and send it again */
        status = fp_producer_flush(out->producer, FLUSH_MS, err);
        if (status == FP_OK)
            status = fp_producer_send(out->producer, record, err);
        else
            return FP_FATAL;
    }
    return status;
}

static enum fp_status run(struct fp_generator *gen, int64_t messages, struct output *out,
                          struct fp_error *err)
{
    bool terminal = isatty(STDERR_FILENO) && out->file != stdout;
    int64_t started_ms = fp_now_ms(), shown_ms = 0;
    enum fp_status status = FP_OK;
    for (int64_t done = 0; done < messages && status == FP_OK;) {
        struct fp_record record;
        bool well_formed;
        if (fp_generator_next(gen, &record, &well_formed) != FP_OK)
            return fp_fail(err, FP_FATAL, "no_memory", "",
                           "not enough memory for pending messages");
        if (out->file != NULL)
            status = well_formed || !out->plain ? write_line(out, &record, err) : FP_OK;
        else
            status = deliver(out, &record, err);
        done++;
        if (status == FP_OK && out->producer != NULL &&
            (done % FLUSH_EVERY == 0 || done == messages))
            status = fp_producer_flush(out->producer, FLUSH_MS, err);
        if (terminal && (done % PROGRESS_EVERY == 0 || done == messages))
            show_progress(done, messages, started_ms, &shown_ms);
    }
    return status;
}

static enum fp_status write_truth(const struct fp_options *options, struct fp_generator *gen,
                                  struct fp_error *err)
{
    if (options->truth == NULL || *options->truth == '\0')
        return FP_OK;
    const char *truth = fp_generator_truth(gen);
    if (truth == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "", "not enough memory for the truth");
    FILE *file = fopen(options->truth, "w");
    if (file == NULL)
        return write_failed(options->truth, err);
    bool good = fputs(truth, file) != EOF;
    good = fclose(file) == 0 && good;
    return good ? FP_OK : write_failed(options->truth, err);
}

static void summarise(const struct fp_options *options, const struct fp_generator *gen,
                      double seconds)
{
    static const char *const names[FP_TRUTH_CLASSES] = {"applied", "duplicate", "revised",
                                                        "voided",  "rejected",  "ignored"};
    bool quiet = options->file != NULL && strcmp(options->file, "-") == 0;
    FILE *to = options->json && !quiet ? stdout : stderr;
    fprintf(to, options->json ? "{\"messages\":%lld,\"seconds\":%.3f" : "%lld messages in %.1f s",
            (long long)options->messages, seconds);
    for (int i = 0; i < FP_TRUTH_CLASSES; i++)
        fprintf(to, options->json ? ",\"%s\":%lld" : "; %s %lld", names[i],
                (long long)fp_generator_count(gen, (enum fp_truth_class)i));
    fputs(options->json ? "}\n" : "\n", to);
}

int fp_cmd_generate(const struct fp_options *options)
{
    struct fp_error err = {0};
    struct fp_generate_params params;
    struct fp_model *model = load_model(options);
    if (model == NULL)
        return FP_EXIT_USAGE;
    if (!make_params(options, model, &params)) {
        fp_model_release(model);
        return FP_EXIT_USAGE;
    }
    struct output out = {0};
    int64_t started_ms = fp_now_ms();
    struct fp_generator *gen = fp_generator_new(model, &params, &err);
    enum fp_status status = gen != NULL ? open_output(options, &out, &err) : FP_FATAL;
    if (status == FP_OK)
        status = run(gen, params.messages, &out, &err);
    struct fp_error closing;
    enum fp_status closed = close_output(&out, &closing);
    if (status == FP_OK && closed != FP_OK) {
        status = closed;
        err = closing;
    }
    if (status == FP_OK)
        status = write_truth(options, gen, &err);
    if (status == FP_OK)
        summarise(options, gen, (double)(fp_now_ms() - started_ms) / 1000);
    fp_generator_free(gen);
    fp_model_release(model);
    return status == FP_OK ? FP_EXIT_OK : failed(&err);
}
