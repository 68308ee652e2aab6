/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of options, in the order of the reference page, and the checks that rows name.
 *
 * A row may be needed by several commands; what only makes sense for one invocation is a flag and
 * never a setting. Defaults are text and go through the same conversion as what a user writes. */
#include "daemon/options_table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/address.h"

#define ALL FP_ALL_COMMANDS
#define PIPELINE (FP_CMD_RUN | FP_CMD_DEMO | FP_CMD_CHECK)
#define KAFKA_USERS FP_KAFKA_COMMANDS
#define PG_USERS \
    (PIPELINE | FP_CMD_MIGRATE | FP_CMD_VERIFY | FP_CMD_DEAD_LETTERS | FP_CMD_ERASE | \
     FP_CMD_GENERATE | FP_CMD_EXPLAIN | FP_CMD_WHATIF)

static const char *check_topic(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 249 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "a topic has 1 to 249 characters";
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && strchr("._-", *name) == NULL)
            return "a topic has letters, digits, '.', '_' and '-' only";
    return NULL;
}

static const char *check_optional_topic(const char *name)
{
    return *name ? check_topic(name) : NULL;
}

static const char *check_topics(const char *list)
{
    size_t count = 0;
    char name[256];
    for (const char *at = list;; count++) {
        size_t len = strcspn(at, ",");
        const char *end = at + len;
        const char *last = end;
        while (at < last && *at == ' ')
            at++;
        while (last > at && last[-1] == ' ')
            last--;
        if (count == FP_TOPICS_MAX)
            return "at most 16 topics; use several groups of replicas for more";
        snprintf(name, sizeof name, "%.*s", (int)(last - at), at);
        const char *wrong = check_topic(name);
        if (wrong != NULL)
            return wrong;
        if (*end == '\0')
            return NULL;
        at = end + 1;
    }
}

static const char *check_listen(const char *text)
{
    struct fp_address address;
    if (*text == '\0' || fp_address_parse(text, &address))
        return NULL;
    return "give HOST:PORT with a numeric host, e.g. 127.0.0.1:9464, [::]:9464; port 0 takes a "
           "free one, an empty value switches it off";
}

static const char *check_date(const char *text)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    int used = 0;
    if (*text == '\0')
        return NULL;
    bool good =
        strlen(text) == 10 && sscanf(text, "%4u-%2u-%2u%n", &year, &month, &day, &used) == 3;
    if (!good || used != 10 || month < 1 || month > 12 || day < 1 ||
        day > (unsigned)days[month - 1])
        return "give a date as YYYY-MM-DD";
    if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
        return "there is no 29 February in that year";
    return NULL;
}

static const char *check_metric(const char *text)
{
    static const char *const metrics[] = {"", "nps", "csat", "ces", "mean", "top_box"};
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(text, metrics[i]) == 0)
            return NULL;
    return "give nps, csat, ces, mean or top_box";
}

static const char *check_scale(const char *text)
{
    double low, high;
    int used = 0;
    bool good = sscanf(text, "%lf:%lf%n", &low, &high, &used) == 2 && text[used] == '\0';
    if (*text == '\0' || (good && isfinite(low) && isfinite(high) && low < high))
        return NULL;
    return "give the lowest and the highest answer as MIN:MAX, e.g. 0:10";
}

#define AT(member) offsetof(struct fp_options, member)


const struct fp_option fp_option_table[] = {
    {.name = "config",
     .type = FP_OPTION_TEXT,
     .offset = AT(config),
     .fallback = "",
     .commands = ALL,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "FILE",
     .help = "Configuration file with `name = value` lines; also FLIGHTPATH_CONFIG."},
    {.name = "model",
     .type = FP_OPTION_TEXT,
     .offset = AT(model),
     .fallback = "",
     .commands = PIPELINE | FP_CMD_VERIFY | FP_CMD_GENERATE | FP_CMD_ERASE | FP_CMD_MIGRATE |
                 FP_CMD_WHATIF,
     .required = FP_CMD_RUN | FP_CMD_CHECK,
     .flags = FP_OPTION_RELOADABLE,
     .metavar = "FILE",
     .help = "The experience model, one JSON file; for whatif the id of a driver model."},
    {.name = "topics",
     .type = FP_OPTION_LIST,
     .offset = AT(topics),
     .fallback = "experience.touchpoints,experience.responses",
     .commands = KAFKA_USERS,
     .metavar = "TOPIC,...",
     .check = check_topics,
     .help = "Topics to read, at most 16. Any of them may carry any type of message."},
    {.name = "group",
     .type = FP_OPTION_TEXT,
     .offset = AT(group),
     .fallback = "flightpath",
     .commands = PIPELINE | FP_CMD_VERIFY,
     .metavar = "NAME",
     .help = "Consumer group. Replicas of one group share the partitions."},
    {.name = "postgres",
     .type = FP_OPTION_TEXT,
     .offset = AT(postgres),
     .fallback = "",
     .commands = PG_USERS,
     .required =
         FP_CMD_RUN | FP_CMD_MIGRATE | FP_CMD_VERIFY | FP_CMD_EXPLAIN | FP_CMD_WHATIF,
     .flags = FP_OPTION_CONNINFO,
     .metavar = "CONNINFO",
     .help = "PostgreSQL, as a connection string (`host=db dbname=cx user=flightpath`) or a URI."},
    {.name = "postgres_password_file",
     .type = FP_OPTION_TEXT,
     .offset = AT(postgres_password_file),
     .fallback = "",
     .commands = PG_USERS,
     .metavar = "FILE",
     .help = "File that holds the password for `postgres`, on one line."},
    {.name = "subject_key_file",
     .type = FP_OPTION_TEXT,
     .offset = AT(subject_key_file),
     .fallback = "",
     .commands = PIPELINE | FP_CMD_VERIFY | FP_CMD_ERASE,
     .metavar = "FILE",
     .help =
         "File with the secret key that turns subjects into pseudonyms (HMAC-SHA-256). Keep it: "
         "with another key the same person gets another pseudonym."},
    {.name = "dead_letters_topic",
     .type = FP_OPTION_TEXT,
     .offset = AT(dead_letters_topic),
     .fallback = "experience.dead-letters",
     .commands = PIPELINE | FP_CMD_DEAD_LETTERS | FP_CMD_VERIFY,
     .metavar = "TOPIC",
     .check = check_topic,
     .help = "Where rejected records go, with the reason and their first place."},
    {.name = "alerts_topic",
     .type = FP_OPTION_TEXT,
     .offset = AT(alerts_topic),
     .fallback = "experience.alerts",
     .commands = PIPELINE,
     .metavar = "TOPIC",
     .check = check_topic,
     .help = "Where alerts are published."},
    {.name = "predictions_topic",
     .type = FP_OPTION_TEXT,
     .offset = AT(predictions_topic),
     .fallback = "",
     .commands = PIPELINE,
     .metavar = "TOPIC",
     .check = check_optional_topic,
     .help = "Where each predicted outcome goes, e.g. experience.predictions; empty: nowhere."},
    {.name = "http_listen",
     .type = FP_OPTION_TEXT,
     .offset = AT(http_listen),
     .fallback = "127.0.0.1:9464",
     .commands = PIPELINE | FP_CMD_HEALTHCHECK,
     .flags = FP_OPTION_MAY_BE_EMPTY,
     .metavar = "HOST:PORT",
     .check = check_listen,
     .help = "Where /livez, /readyz, /startupz and /metrics are served. Port 0 takes a free port "
             "and logs it; an empty value switches it off."},
    {.name = "log_level",
     .type = FP_OPTION_ENUM,
     .offset = AT(log_level),
     .fallback = "info",
     .values = "debug|info|warn|error",
     .commands = ALL,
     .metavar = "LEVEL",
     .help = "The least level that is logged."},
    {.name = "flush_ms",
     .type = FP_OPTION_DURATION_MS,
     .offset = AT(flush_ms),
     .fallback = "1000",
     .min = 10,
     .max = 600000,
     .commands = PIPELINE,
     .metavar = "DURATION",
     .help = "A batch is written this long after its first message, or when it is full."},
    {.name = "batch_messages",
     .type = FP_OPTION_INT,
     .offset = AT(batch_messages),
     .fallback = "50000",
     .min = 1,
     .max = 1000000,
     .commands = PIPELINE,
     .metavar = "N",
     .help = "Messages that fill a batch."},
    {.name = "batch_bytes",
     .type = FP_OPTION_SIZE,
     .offset = AT(batch_bytes),
     .fallback = "64MiB",
     .min = 65536,
     .max = 1073741824,
     .commands = PIPELINE,
     .metavar = "SIZE",
     .help = "Bytes of messages that fill a batch."},
    {.name = "dedup_window",
     .type = FP_OPTION_INT,
     .offset = AT(dedup_window),
     .fallback = "250000",
     .min = 0,
     .max = 10000000,
     .commands = PIPELINE | FP_CMD_VERIFY,
     .metavar = "N",
     .help = "Messages of a partition among which a repeated touchpoint event is recognised. The "
             "same on all replicas: counts depend on it."},
    {.name = "lanes",
     .type = FP_OPTION_INT,
     .offset = AT(lanes),
     .fallback = "4",
     .min = 1,
     .max = 64,
     .commands = PIPELINE,
     .metavar = "N",
     .help =
         "Copies of each hot row, so that replicas do not wait for each other; about the number "
         "of replicas."},
    {.name = "flush_deadline_ms",
     .type = FP_OPTION_DURATION_MS,
     .offset = AT(flush_deadline_ms),
     .fallback = "30000",
     .min = 1000,
     .max = 240000,
     .commands = PIPELINE,
     .metavar = "DURATION",
     .help = "A write that takes longer is broken off and resolved."},
    {.name = "drivers_refresh_ms",
     .type = FP_OPTION_DURATION_MS,
     .offset = AT(drivers_refresh_ms),
     .fallback = "2000",
     .min = 100,
     .max = 86400000,
     .commands = PIPELINE,
     .metavar = "DURATION",
     .help = "A driver model's segment is solved at most this often (and a tenth of the time)."},
    {.name = "scoring_ms",
     .type = FP_OPTION_DURATION_MS,
     .offset = AT(scoring_ms),
     .fallback = "600000",
     .min = 100,
     .max = 86400000,
     .commands = PIPELINE,
     .metavar = "DURATION",
     .help = "Events are scored with coefficients that change at most this often."},
    {.name = "shutdown_ms",
     .type = FP_OPTION_DURATION_MS,
     .offset = AT(shutdown_ms),
     .fallback = "30000",
     .min = 1000,
     .max = 600000,
     .commands = PIPELINE,
     .metavar = "DURATION",
     .help = "After SIGTERM: the last batch is written and the group left within this time."},
    {.name = "prefetch_kb",
     .type = FP_OPTION_INT,
     .offset = AT(prefetch_kb),
     .fallback = "32768",
     .min = 1024,
     .max = 2097151,
     .commands = PIPELINE | FP_CMD_VERIFY,
     .metavar = "KIB",
     .help = "Memory for messages fetched ahead, in KiB."},
    {.name = "on_offset_lost",
     .type = FP_OPTION_ENUM,
     .offset = AT(on_offset_lost),
     .fallback = "halt",
     .values = "halt|skip",
     .commands = PIPELINE,
     .metavar = "WHAT",
     .help = "When the log no longer holds a partition's position: halt that partition until "
             "somebody decides, or skip to what is there and record the gap."},
    {.name = "until_caught_up",
     .type = FP_OPTION_BOOL,
     .offset = AT(until_caught_up),
     .fallback = "false",
     .commands = FP_CMD_RUN,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Stop when every partition has reached the end it had at start."},
    {.name = "messages_file",
     .type = FP_OPTION_TEXT,
     .offset = AT(messages_file),
     .fallback = "",
     .commands = FP_CMD_CHECK,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "FILE",
     .help = "Sample messages, one JSON document a line, to be checked against the model."},
    {.name = "seed",
     .type = FP_OPTION_INT,
     .offset = AT(seed),
     .fallback = "1",
     .min = 0,
     .max = 9223372036854774784.0,
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "The same seed makes the same messages."},
    {.name = "messages",
     .type = FP_OPTION_INT,
     .offset = AT(messages),
     .fallback = "100000",
     .min = 1,
     .max = 1e12,
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "How many messages to make."},
    {.name = "profile",
     .type = FP_OPTION_ENUM,
     .offset = AT(profile),
     .fallback = "programme",
     .values = "programme|reference",
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "WHAT",
     .help = "What to draw: programme (everything a stream can hold) or reference (the benchmark "
             "workload)."},
    {.name = "days",
     .type = FP_OPTION_INT,
     .offset = AT(days),
     .fallback = "14",
     .min = 1,
     .max = 3660,
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "Days of event time they span."},
    {.name = "units",
     .type = FP_OPTION_INT,
     .offset = AT(units),
     .fallback = "0",
     .min = 0,
     .max = 100000,
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "Units (branches, shops) they come from; 0 takes those of the model."},
    {.name = "partitions",
     .type = FP_OPTION_INT,
     .offset = AT(partitions),
     .fallback = "4",
     .min = 1,
     .max = 1000,
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "Partitions of each topic."},
    {.name = "start",
     .type = FP_OPTION_TEXT,
     .offset = AT(start),
     .fallback = "",
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "DATE",
     .check = check_date,
     .help = "First day; by default today less `days`."},
    {.name = "bad_share",
     .type = FP_OPTION_DOUBLE,
     .offset = AT(bad_share),
     .fallback = "0.01",
     .min = 0,
     .max = 0.5,
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "SHARE",
     .help = "Share of messages that must be rejected."},
    {.name = "truth",
     .type = FP_OPTION_TEXT,
     .offset = AT(truth),
     .fallback = "",
     .commands = FP_CMD_GENERATE | FP_CMD_DEMO,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "FILE",
     .help = "Write what the results must be to this file."},
    {.name = "file",
     .type = FP_OPTION_TEXT,
     .offset = AT(file),
     .fallback = "",
     .commands = FP_CMD_GENERATE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "FILE",
     .help = "Write the messages to this file, one a line, in place of Kafka."},
    {.name = "plain",
     .type = FP_OPTION_BOOL,
     .offset = AT(plain),
     .fallback = "false",
     .commands = FP_CMD_GENERATE,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "With --file: only well-formed messages, the value alone, one a line."},
    {.name = "limit",
     .type = FP_OPTION_INT,
     .offset = AT(limit),
     .fallback = "0",
     .min = 0,
     .max = 1e10,
     .commands = FP_CMD_DEAD_LETTERS | FP_CMD_VERIFY,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "Stop after so many; 0 takes all."},
    {.name = "reason",
     .type = FP_OPTION_TEXT,
     .offset = AT(reason),
     .fallback = "",
     .commands = FP_CMD_DEAD_LETTERS,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "CODE",
     .help = "Only dead letters of this reason, e.g. missing_field."},
    {.name = "out",
     .type = FP_OPTION_TEXT,
     .offset = AT(out),
     .fallback = "",
     .commands = FP_CMD_REFERENCE | FP_CMD_DEAD_LETTERS | FP_CMD_VERIFY,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "FILE",
     .help = "Write to this file in place of standard output."},
    {.name = "dry_run",
     .type = FP_OPTION_BOOL,
     .offset = AT(dry_run),
     .fallback = "false",
     .commands = FP_CMD_MIGRATE | FP_CMD_DEAD_LETTERS | FP_CMD_ERASE,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Say what would be done, do nothing."},
    {.name = "live",
     .type = FP_OPTION_BOOL,
     .offset = AT(live),
     .fallback = "false",
     .commands = FP_CMD_HEALTHCHECK,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Ask /livez in place of /readyz."},
    {.name = "outcome",
     .type = FP_OPTION_TEXT,
     .offset = AT(outcome),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "COLUMN",
     .help = "Drivers: the column to be explained."},
    {.name = "drivers",
     .type = FP_OPTION_TEXT,
     .offset = AT(drivers),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "COLUMN,...",
     .help = "Drivers: the columns that may explain it, at most 63."},
    {.name = "missing",
     .type = FP_OPTION_ENUM,
     .offset = AT(missing),
     .fallback = "auto",
     .values = "auto|em|listwise|pairwise",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "HOW",
     .help = "Drivers: rows with missing answers. em uses all of them, listwise only complete "
             "ones, pairwise is a diagnostic; auto is listwise when under 2 % are missing, else "
             "em."},
    {.name = "cluster",
     .type = FP_OPTION_TEXT,
     .offset = AT(cluster),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "COLUMN",
     .help = "Drivers: rows alike in this column belong together (a person, a branch); errors and "
             "tests allow for it."},
    {.name = "day",
     .type = FP_OPTION_TEXT,
     .offset = AT(day),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "COLUMN",
     .help = "Drivers: the date of each row (YYYY-MM-DD); intervals leave runs of days out, as "
             "published results do."},
    {.name = "metric",
     .type = FP_OPTION_TEXT,
     .offset = AT(metric),
     .fallback = "",
     .check = check_metric,
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "METRIC",
     .help = "KPI: nps, csat, ces, mean or top_box."},
    {.name = "column",
     .type = FP_OPTION_TEXT,
     .offset = AT(column),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "COLUMN",
     .help = "KPI: the column with the answers."},
    {.name = "scale",
     .type = FP_OPTION_TEXT,
     .offset = AT(scale),
     .fallback = "",
     .check = check_scale,
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "MIN:MAX",
     .help = "KPI: ends of the scale. Without it 0:10 for nps, 1:5 for csat and top_box, open for "
             "ces and mean."},
    {.name = "top",
     .type = FP_OPTION_INT,
     .offset = AT(top),
     .fallback = "0",
     .min = 0,
     .max = 1000,
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "N",
     .help = "KPI: how many of the highest points csat and top_box count; 0 takes 2, or 1 of up "
             "to 3 points."},
    {.name = "weight",
     .type = FP_OPTION_TEXT,
     .offset = AT(weight),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "COLUMN",
     .help = "Weight of each row, a number from 0; intervals use the effective n of Kish."},
    {.name = "na",
     .type = FP_OPTION_TEXT,
     .offset = AT(na),
     .fallback = "",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "CODE,...",
     .help = "Answers that mean \"does not apply\", e.g. 0,6 or NA. Codes that are numbers hold "
             "for the drivers and the KPI's column, not for the outcome. An empty cell is a "
             "missing answer."},
    {.name = "false_alarms",
     .type = FP_OPTION_DOUBLE,
     .offset = AT(false_alarms),
     .fallback = "1.0",
     .min = 0.001,
     .max = 4,
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "RATE",
     .help = "Watch: alarms by chance in 1,000 buckets; sets the threshold."},
    {.name = "path",
     .type = FP_OPTION_BOOL,
     .offset = AT(path),
     .fallback = "false",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Watch: print the statistic of each bucket, too."},
    {.name = "explain",
     .type = FP_OPTION_BOOL,
     .offset = AT(explain),
     .fallback = "false",
     .commands = FP_CMD_ANALYZE,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Print the formulas, too, and what was left out and why."},
    {.name = "segment",
     .type = FP_OPTION_TEXT,
     .offset = AT(segment),
     .fallback = "all",
     .commands = FP_CMD_WHATIF,
     .flags = FP_OPTION_FLAG_ONLY,
     .metavar = "SEGMENT",
     .help = "Segment of the driver model: all, unit:NAME, touchpoint:NAME, journey:NAME, "
             "tenure:BAND."},
    {.name = "json",
     .type = FP_OPTION_BOOL,
     .offset = AT(json),
     .fallback = "false",
     .commands = ALL & ~(unsigned)(FP_CMD_RUN | FP_CMD_REFERENCE | FP_CMD_HEALTHCHECK),
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Print JSON for programs."},
    {.name = "help",
     .type = FP_OPTION_BOOL,
     .offset = AT(help),
     .fallback = "false",
     .commands = ALL,
     .flags = FP_OPTION_FLAG_ONLY,
     .help = "Print this help."},
};

const size_t fp_option_count = sizeof fp_option_table / sizeof *fp_option_table;

const struct fp_command_form fp_command_forms[] = {
    {FP_CMD_RUN, "run", "", 0, 0},
    {FP_CMD_CHECK, "check", "[FILE...]", 0, FP_ARGUMENTS_MAX},
    {FP_CMD_MIGRATE, "migrate", "", 0, 0},
    {FP_CMD_GENERATE, "generate", "", 0, 0},
    {FP_CMD_DEMO, "demo", "", 0, 0},
    {FP_CMD_VERIFY, "verify", "", 0, 0},
    {FP_CMD_DEAD_LETTERS, "dead-letters", "list|show|redrive [ARGUMENT...]", 1, FP_ARGUMENTS_MAX},
    {FP_CMD_HEALTHCHECK, "healthcheck", "", 0, 0},
    {FP_CMD_ERASE, "erase", "[SUBJECT...]", 0, FP_ARGUMENTS_MAX},
    {FP_CMD_REFERENCE, "reference", "", 0, 0},
    {FP_CMD_ANALYZE, "analyze", "drivers|kpi|watch FILE.csv", 2, 2},
    {FP_CMD_EXPLAIN, "explain", "VIEW KEY=VALUE...", 1, FP_ARGUMENTS_MAX},
    {FP_CMD_WHATIF, "whatif", "DRIVER=+STEP...", 1, FP_ARGUMENTS_MAX},
    {0, NULL, NULL, 0, 0}};

const struct fp_command_form *fp_command_form(enum fp_command command)
{
    const struct fp_command_form *form = fp_command_forms;
    while (form->name != NULL && form->command != command)
        form++;
    return form;
}

bool fp_kafka_property_is_secret(const char *property)
{
    static const char *const parts[] = {"password",           "secret", ".pem",
                                        "oauthbearer.config", "jaas",   "token"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(property, parts[i]) != NULL)
            return true;
    return false;
}

const char *fp_kafka_property_refusal(const char *property)
{
    static const struct {
        const char *name, *why;
    } refused[] = {{"group.id", "set `group` instead"},
                   {"enable.auto.commit", "positions are kept in PostgreSQL; remove it"},
                   {"enable.auto.offset.store", "positions are kept in PostgreSQL; remove it"},
                   {"auto.offset.reset", "set `on_offset_lost` instead"},
                   {"auto.commit.interval.ms", "positions are kept in PostgreSQL; remove it"},
                   {"enable.partition.eof", "it is always on; remove it"},
                   {"enable.idempotence", "it is always on; remove it"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(property, refused[i].name) == 0)
            return refused[i].why;
    return NULL;
}
