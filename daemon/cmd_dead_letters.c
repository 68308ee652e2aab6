/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath dead-letters list | show KEY... | redrive [KEY...]: what was rejected, and sending it
 * again.
 *
 * Reads the dead-letter topic whole, without a group: nobody's offsets move. The ends of all
 * partitions are taken before the first record is read, so that what a running daemon rejects again
 * in the meantime is not sent once more. A dead letter may lie there twice (it is written at least
 * once): its key, TOPIC/PARTITION/OFFSET of the source record, tells copies apart from others.
 * Everything printed came from outside: control characters are escaped. */
#include "daemon/command.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/clock.h"
#include "daemon/dead_letter.h"
#include "daemon/json.h"
#include "daemon/log.h"
#include "daemon/window.h"

#define IDLE_MS 30000
#define FLUSH_MS 60000
#define FLUSH_EVERY 10000
#define KEY_BYTES 320
#define TEXT_BYTES 2048

struct letter { /* one dead letter that passed the filters */
    const struct fp_record *record;
    const struct fp_dead_letter *said;
    const char *key;
    bool copy; /* the same source record was met before */
};

struct task {
    const struct fp_options *options;
    FILE *out;
    struct fp_reader *reader;
    struct fp_producer *producer; /* of redrive */
    struct fp_window *seen;       /* hashes of keys */
    const char *const *keys;      /* wanted; none: all */
    size_t key_count;
    bool found[64];
    int64_t records, matched, copies, foreign, sent;
    enum fp_status (*visit)(struct task *task, const struct letter *letter, struct fp_error *err);
};

static int failed(const struct fp_error *err)
{
    fprintf(stderr, "flightpath dead-letters: %s%s%s (%s)\n", err->where, *err->where ? ": " : "",
            err->what, err->code);
    return FP_EXIT_FAILED;
}

/* ---- printing -------------------------------------------------------------------------------- */

/* Bytes as text with control characters (C0, DEL, C1) and what is not UTF-8 escaped; of those to
 * keep (a newline in a body) as they are. Returns the columns written. */
static int put_text(FILE *out, const void *bytes, size_t len, const char *keep)
{
    const unsigned char *s = bytes;
    bool utf8 = fp_json_valid_utf8(bytes, len);
    int columns = 0;
    for (size_t i = 0; i < len; i++) {
        if (utf8 && s[i] == 0xC2 && s[i + 1] < 0xA0) {
            columns += fprintf(out, "\\u00%02x", s[++i]);
        } else if ((s[i] < 0x20 && (s[i] == 0 || strchr(keep, s[i]) == NULL)) || s[i] == 0x7F ||
                   (s[i] >= 0x80 && !utf8)) {
            columns += fprintf(out, "\\x%02x", s[i]);
        } else {
            fputc(s[i], out);
            columns += (s[i] & 0xC0) != 0x80;
        }
    }
    return columns;
}

static void put_cell(FILE *out, struct fp_slice text, int width)
{
    int columns = put_text(out, text.at, text.len, "");
    fprintf(out, "%*s", columns < width ? width - columns + 2 : 2, "");
}

static void put_hex(FILE *out, const unsigned char *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += 16) {
        fprintf(out, "%08zx ", at);
        for (size_t i = at; i < at + 16; i++)
            fprintf(out, i < len ? " %02x" : "   ", i < len ? bytes[i] : 0);
        fputs("  ", out);
        for (size_t i = at; i < at + 16 && i < len; i++)
            fputc(bytes[i] >= 0x20 && bytes[i] < 0x7F ? bytes[i] : '.', out);
        fputc('\n', out);
    }
}

static int64_t number_of(struct fp_slice text)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.*s", (int)text.len, text.at ? text.at : "");
    return strtoll(digits, NULL, 10);
}

static const char *time_text(const struct fp_dead_letter *said, char *out, size_t size)
{
    int64_t ms = said->timestamp_ms.at ? number_of(said->timestamp_ms) : -1;
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (ms < 0 || gmtime_r(&seconds, &utc) == NULL ||
        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(out, size, "unknown");
    return out;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_text(FILE *out, const char *name, struct fp_slice text)
{
    char copy[TEXT_BYTES], escaped[TEXT_BYTES * 6];
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.at ? text.at : "");
    fp_log_escape(escaped, sizeof escaped, copy);
    fprintf(out, "\"%s\": \"%s\", ", name, escaped);
}

/* "NAME": "text", or "NAME_base64" when the bytes are not text, or null. False: no memory. */
static bool json_bytes(FILE *out, const char *name, const void *bytes, size_t len)
{
    char *copy = malloc(len + 1), *coded = malloc(6 * len + 5);
    bool ok = copy && coded;
    if (bytes == NULL) {
        fprintf(out, "\"%s\": null", name);
    } else if (ok) {
        memcpy(copy, bytes, len);
        copy[len] = '\0';
        if (fp_json_valid_utf8(bytes, len) && strlen(copy) == len) {
            fp_log_escape(coded, 6 * len + 5, copy);
            fprintf(out, "\"%s\": \"%s\"", name, coded);
        } else {
            EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)copy, (int)len);
            fprintf(out, "\"%s_base64\": \"%s\"", name, coded);
        }
    }
    free(copy);
    free(coded);
    return ok;
}

static void json_start(FILE *out, const struct letter *letter)
{
    const struct fp_dead_letter *said = letter->said;
    char when[40];
    fprintf(out, "{\"partition\": %d, \"offset\": %" PRId64 ", ", letter->record->partition,
            letter->record->offset);
    json_text(out, "key", fp_slice_of(letter->key));
    json_text(out, "source_topic", said->topic);
    fprintf(out, "\"source_partition\": %" PRId64 ", \"source_offset\": %" PRId64 ", ",
            number_of(said->partition), number_of(said->offset));
    json_text(out, "time", fp_slice_of(time_text(said, when, sizeof when)));
    json_text(out, "reason", said->reason);
    json_text(out, "field", said->field);
    json_text(out, "detail", said->detail);
    json_text(out, "version", said->version);
    fprintf(out, "\"copy\": %s, \"bytes\": %zu", letter->copy ? "true" : "false",
            letter->record->len);
}

/* ---- list ------------------------------------------------------------------------------------ */

static enum fp_status list_one(struct task *task, const struct letter *letter, struct fp_error *err)
{
    const struct fp_dead_letter *said = letter->said;
    char place[48], when[40];
    (void)err;
    if (task->options->json) {
        json_start(task->out, letter);
        fputs("}\n", task->out);
        return FP_OK;
    }
    if (task->matched == 1)
        fprintf(task->out, "%-10s  %-36s  %-20s  %-16s  %-24s  %s\n", "OFFSET", "KEY", "TIME",
                "REASON", "FIELD", "DETAIL");
    snprintf(place, sizeof place, "%d:%" PRId64, letter->record->partition, letter->record->offset);
    put_cell(task->out, fp_slice_of(place), 10);
    put_cell(task->out, fp_slice_of(letter->key), 36);
    put_cell(task->out, fp_slice_of(time_text(said, when, sizeof when)), 20);
    put_cell(task->out, said->reason, 16);
    put_cell(task->out, said->field, 24);
    put_text(task->out, said->detail.at, said->detail.len, "");
    fputs(letter->copy ? " (copy)\n" : "\n", task->out);
    return FP_OK;
}

/* ---- show ------------------------------------------------------------------------------------ */

static void show_line(FILE *out, const char *name, struct fp_slice text)
{
    fprintf(out, "%-13s ", name);
    put_text(out, text.at, text.len, "");
    fputc('\n', out);
}

static void show_value(FILE *out, const struct fp_record *original)
{
    if (original->value == NULL) {
        fputs("value         none (null)\n", out);
        return;
    }
    bool text = fp_json_valid_utf8(original->value, original->len) &&
                memchr(original->value, '\0', original->len) == NULL;
    fprintf(out, "value         %zu bytes%s\n", original->len, text ? "" : ", not text");
    if (text)
        put_text(out, original->value, original->len, "\n\t");
    else
        put_hex(out, original->value, original->len);
    if (text)
        fputc('\n', out);
}

static void show_text(FILE *out, const struct letter *letter, const struct fp_record *original)
{
    const struct fp_dead_letter *said = letter->said;
    char when[40];
    show_line(out, "key", fp_slice_of(letter->key));
    show_line(out, "time", fp_slice_of(time_text(said, when, sizeof when)));
    show_line(out, "reason", said->reason);
    show_line(out, "field", said->field);
    show_line(out, "detail", said->detail);
    show_line(out, "rejected by", said->version);
    show_line(out, "record key",
              (struct fp_slice){original->key ? original->key : "(none)",
                                original->key ? (uint32_t)original->key_len : 6});
    for (size_t i = 0; i < original->header_count; i++) {
        const struct fp_header *h = &original->headers[i];
        fputs(i == 0 ? "headers       " : "              ", out);
        put_text(out, h->name, strlen(h->name), "");
        fputs(": ", out);
        put_text(out, h->value, h->value ? h->len : 0, "");
        fputc('\n', out);
    }
    show_value(out, original);
}

static bool show_json(FILE *out, const struct letter *letter, const struct fp_record *original)
{
    json_start(out, letter);
    fputs(", ", out);
    bool ok = json_bytes(out, "record_key", original->key, original->key_len);
    fputs(", \"headers\": [", out);
    for (size_t i = 0; ok && i < original->header_count; i++) {
        const struct fp_header *h = &original->headers[i];
        fputs(i ? ", {" : "{", out);
        json_text(out, "name", fp_slice_of(h->name));
        ok = json_bytes(out, "value", h->value, h->len);
        fputc('}', out);
    }
    fputs("], ", out);
    ok = ok && json_bytes(out, "value", original->value, original->len);
    fputs("}\n", out);
    return ok;
}

static enum fp_status show_one(struct task *task, const struct letter *letter, struct fp_error *err)
{
    if (letter->copy)
        return FP_OK;
    struct fp_record original;
    struct fp_header *headers = calloc(letter->record->header_count + 1, sizeof *headers);
    if (headers == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "", "out of memory");
    fp_dead_letter_original(letter->record, letter->said, headers, &original);
    if (!task->options->json && task->matched - task->copies > 1)
        fputc('\n', task->out);
    bool ok = true;
    if (task->options->json)
        ok = show_json(task->out, letter, &original);
    else
        show_text(task->out, letter, &original);
    free(headers);
    return ok ? FP_OK : fp_fail(err, FP_FATAL, "no_memory", "", "out of memory");
}

/* ---- redrive --------------------------------------------------------------------------------- */

static enum fp_status flush(struct task *task, struct fp_error *err)
{
    struct fp_error why;
    if (fp_producer_flush(task->producer, FLUSH_MS, &why) == FP_OK)
        return FP_OK;
    return fp_fail(err, FP_FATAL, why.code, "redrive",
                   "not all of what was sent was acknowledged: %.120s. Send it again when Kafka is "
                   "well: what arrives twice counts once",
                   why.what);
}

static void tell(struct task *task, const struct letter *letter, const struct fp_record *original)
{
    if (task->options->json) {
        json_start(task->out, letter);
        fprintf(task->out, ", \"sent\": %s}\n", task->options->dry_run ? "false" : "true");
    } else if (task->options->dry_run) {
        fputs("would send ", task->out);
        put_text(task->out, letter->key, strlen(letter->key), "");
        fprintf(task->out, " (%zu bytes, ", original->len);
        put_text(task->out, letter->said->reason.at, letter->said->reason.len, "");
        fputs(") to ", task->out);
        put_text(task->out, original->topic, strlen(original->topic), "");
        fputc('\n', task->out);
    }
}

static enum fp_status redrive_one(struct task *task, const struct letter *letter,
                                  struct fp_error *err)
{
    struct fp_record original;
    char topic[256];
    if (letter->copy)
        return FP_OK;
    if (letter->said->cut) {
        fprintf(stderr, "%s: not sent: only the beginning of it is here (%zu of %.*s bytes)\n",
                letter->key, letter->record->len, (int)letter->said->size.len,
                letter->said->size.at);
        return FP_OK;
    }
    struct fp_header *headers = calloc(letter->record->header_count + 1, sizeof *headers);
    if (headers == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "", "out of memory");
    fp_dead_letter_original(letter->record, letter->said, headers, &original);
    snprintf(topic, sizeof topic, "%.*s", (int)letter->said->topic.len, letter->said->topic.at);
    original.topic = topic;
    enum fp_status status = FP_OK;
    if (!task->options->dry_run) {
        status = fp_producer_send(task->producer, &original, err);
        if (status == FP_RETRY && (status = flush(task, err)) == FP_OK) /* the queue was full */
            status = fp_producer_send(task->producer, &original, err);
    }
    if (status == FP_OK) {
        task->sent++;
        tell(task, letter, &original);
    }
    free(headers);
    if (status == FP_OK && !task->options->dry_run && task->sent % FLUSH_EVERY == 0)
        status = flush(task, err);
    return status;
}

/* ---- reading the topic ----------------------------------------------------------------------- */

static bool is_wanted(struct task *task, const struct fp_dead_letter *said, const char *key)
{
    const char *reason = task->options->reason;
    if (*reason && !fp_slice_is(said->reason, reason))
        return false;
    for (size_t i = 0; i < task->key_count; i++)
        if (strcmp(task->keys[i], key) == 0) {
            task->found[i] = true;
            return true;
        }
    return task->key_count == 0;
}

static bool is_enough(const struct task *task)
{
    return task->options->limit > 0 && task->matched - task->copies >= task->options->limit;
}

static enum fp_status take(struct task *task, const struct fp_record *record, struct fp_error *err)
{
    struct fp_dead_letter said;
    char key[KEY_BYTES];
    if (!fp_dead_letter_read(record, &said)) {
        task->foreign++;
        return FP_OK;
    }
    snprintf(key, sizeof key, "%.*s/%.*s/%.*s", (int)said.topic.len, said.topic.at,
             (int)said.partition.len, said.partition.at ? said.partition.at : "",
             (int)said.offset.len, said.offset.at);
    if (!is_wanted(task, &said, key))
        return FP_OK;
    bool copy = fp_window_seen(task->seen, XXH3_64bits(key, strlen(key)), task->records);
    struct letter letter = {.record = record, .said = &said, .key = key, .copy = copy};
    task->matched++;
    task->copies += copy;
    return task->visit(task, &letter, err);
}

/* One partition from `low` until `high`. */
static enum fp_status read_partition(struct task *task, int32_t partition, int64_t low,
                                     int64_t high, struct fp_error *err)
{
    enum fp_status status =
        fp_reader_start(task->reader, task->options->dead_letters_topic, partition, low, err);
    int64_t heard_ms = fp_now_ms();
    for (bool more = true; status == FP_OK && more && !is_enough(task);) {
        struct fp_record record;
        enum fp_poll_result result = fp_reader_next(task->reader, 500, &record, err);
        if (result == FP_POLL_RECORD) {
            heard_ms = fp_now_ms();
            more = record.offset + 1 < high;
            task->records++;
            if (record.offset < high)
                status = take(task, &record, err);
        } else if (result == FP_POLL_END) {
            more = false;
        } else if (result == FP_POLL_FATAL || result == FP_POLL_OFFSET_LOST) {
            status = FP_FATAL;
        } else if (fp_now_ms() - heard_ms > IDLE_MS) {
            status = fp_fail(err, FP_FATAL, "timed_out", task->options->dead_letters_topic,
                             "nothing came from partition %d for %d s; it ends at %" PRId64,
                             partition, IDLE_MS / 1000, high);
        }
    }
    fp_reader_stop(task->reader);
    return status;
}

static enum fp_status open_topic(struct task *task, int32_t *partitions, struct fp_error *err)
{
    const char *topic = task->options->dead_letters_topic;
    struct fp_error why = {"", "", ""};
    enum fp_status status = fp_reader_open(&task->options->kafka, &task->reader, err);
    if (status != FP_OK)
        return status;
    if (fp_reader_partitions(task->reader, topic, partitions, &why) == FP_OK)
        return FP_OK;
    if (strstr(why.code, "UNKNOWN_TOPIC") != NULL)
        return fp_fail(
            err, FP_FATAL, why.code, topic,
            "there is no such topic. Daemons write to the one named by `dead_letters_topic`; "
            "give its name with --dead-letters-topic");
    return fp_fail(err, FP_FATAL, why.code, topic,
                   "no broker told us of the topic: %.160s. Check --kafka.bootstrap.servers",
                   why.what);
}

static enum fp_status read_all(struct task *task, struct fp_error *err)
{
    int32_t count = 0;
    enum fp_status status = open_topic(task, &count, err);
    int64_t(*ends)[2] = calloc((size_t)(count > 0 ? count : 1), sizeof *ends);
    if (ends == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "", "out of memory");
    const char *topic = task->options->dead_letters_topic;
    for (int32_t p = 0; status == FP_OK && p < count; p++)
        status = fp_reader_watermarks(task->reader, topic, p, &ends[p][0], &ends[p][1], err);
    for (int32_t p = 0; status == FP_OK && p < count && !is_enough(task); p++)
        if (ends[p][0] < ends[p][1])
            status = read_partition(task, p, ends[p][0], ends[p][1], err);
    free(ends);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int misused(const char *what)
{
    fprintf(stderr, "flightpath dead-letters: %s; see flightpath dead-letters --help\n", what);
    return FP_EXIT_USAGE;
}

static bool is_key(const char *text)
{
    const char *slash = strchr(text, '/');
    int used = 0;
    long long partition, offset;
    return slash != NULL && slash > text && strlen(text) < KEY_BYTES &&
           sscanf(slash, "/%lld/%lld%n", &partition, &offset, &used) == 2 && slash[used] == '\0';
}

static int prepare(struct task *task, const char *what)
{
    const struct fp_options *options = task->options;
    bool brokers = false;
    for (size_t i = 0; i < options->kafka.property_count; i++)
        brokers |= strcmp(options->kafka.properties[i].name, "bootstrap.servers") == 0;
    if (strcmp(what, "list") == 0)
        task->visit = list_one;
    else if (strcmp(what, "show") == 0)
        task->visit = show_one;
    else if (strcmp(what, "redrive") == 0)
        task->visit = redrive_one;
    else
        return misused("say list, show or redrive");
    if (task->visit == list_one && task->key_count > 0)
        return misused("list takes no keys; show KEY prints one");
    if (task->visit == show_one && task->key_count == 0)
        return misused("show which? Give keys TOPIC/PARTITION/OFFSET as `list` prints them");
    for (size_t i = 0; i < task->key_count; i++)
        if (!is_key(task->keys[i]))
            return misused(
                "a key is TOPIC/PARTITION/OFFSET of the rejected record, as `list` prints it");
    if (!brokers)
        return misused("say which brokers: --kafka.bootstrap.servers HOST:PORT");
    return FP_EXIT_OK;
}

static void summarise(const struct task *task)
{
    long long letters = (long long)(task->matched - task->copies);
    if (task->foreign > 0)
        fprintf(stderr,
                "%lld records of the topic are not dead letters of Flightpath: left alone\n",
                (long long)task->foreign);
    if (task->options->json || task->visit == show_one)
        return;
    if (task->visit == redrive_one)
        fprintf(task->out, "%s %lld of %lld dead letters read",
                task->options->dry_run ? "would send" : "sent", (long long)task->sent,
                (long long)task->records);
    else
        fprintf(task->out, "%lld dead letter%s", letters, letters == 1 ? "" : "s");
    if (task->copies > 0)
        fprintf(task->out, "; %lld more were copies of these", (long long)task->copies);
    fputs(is_enough(task) ? " (stopped at --limit)\n" : "\n", task->out);
}

static int run(struct task *task)
{
    struct fp_error err = {"", "", ""};
    enum fp_status status = FP_OK;
    int code = FP_EXIT_OK;
    if (task->visit == redrive_one && !task->options->dry_run)
        status = fp_producer_open(&task->options->kafka, &task->producer, &err);
    if (status == FP_OK)
        status = read_all(task, &err);
    if (status == FP_OK && task->producer)
        status = flush(task, &err);
    if (status != FP_OK)
        return failed(&err);
    summarise(task);
    for (size_t i = 0; i < task->key_count && !is_enough(task); i++)
        if (!task->found[i]) {
            fprintf(stderr, "flightpath dead-letters: %s: no such dead letter%s\n", task->keys[i],
                    *task->options->reason ? " of that reason" : "");
            code = FP_EXIT_FAILED;
        }
    return code;
}

int fp_cmd_dead_letters(const struct fp_options *options)
{
    struct task task = {.options = options,
                        .out = stdout,
                        .keys = options->arguments + 1,
                        .key_count = options->argument_count > 0 ? options->argument_count - 1 : 0};
    int code = prepare(&task, options->argument_count > 0 ? options->arguments[0] : "");
    if (code != FP_EXIT_OK)
        return code;
    if (*options->out && (task.out = fopen(options->out, "w")) == NULL) {
        fprintf(stderr, "flightpath dead-letters: %s: cannot write: %s\n", options->out,
                strerror(errno));
        return FP_EXIT_FAILED;
    }
    task.seen = fp_window_new(INT64_MAX / 2);
    code = task.seen ? run(&task) : FP_EXIT_FAILED;
    if (fflush(task.out) != 0 || ferror(task.out)) {
        fprintf(stderr, "flightpath dead-letters: %s: cannot write all of it\n",
                *options->out ? options->out : "stdout");
        code = FP_EXIT_FAILED;
    }
    if (task.out != stdout)
        fclose(task.out);
    fp_producer_close(task.producer);
    fp_reader_close(task.reader);
    fp_window_free(task.seen);
    return code;
}
