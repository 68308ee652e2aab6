/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration: one table of options feeds the parser, --help, the reference page and the dump.
 *
 * Sources, later ones win: file (`key = value`), environment (FLIGHTPATH_…), flags (--flag value or
 * --flag=value; `_` becomes `-`). `kafka.<property>` passes through to librdkafka. An option
 * `x_file` reads the secret x from a file. Threads: immutable after fp_options_parse. */
#ifndef FP_OPTIONS_H
#define FP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/kafka.h"
#include "daemon/status.h"

#define FP_TOPICS_MAX 16
#define FP_URLS_MAX 8

struct fp_options {
    /* what a daemon needs */
    const char *config;                      /* the file read, or "" */
    const char *model, *group, *postgres, *postgres_password_file, *subject_key_file;
    const char *postgres_password;           /* what postgres_password_file held, or NULL */
    const char *dead_letters_topic, *alerts_topic, *predictions_topic, *http_listen, *log_level;
    const char *alertmanager_url;            /* comma separated; without credentials */
    const char *alertmanager_token_file;
    const char *alertmanager_token;          /* what alertmanager_token_file held, or NULL */
    const char *dashboard_url;
    const char *topics;                      /* comma separated, as given */
    const char *topic[FP_TOPICS_MAX];        /* split */
    size_t topic_count;
    int64_t flush_ms, batch_messages, batch_bytes, dedup_window, lanes, flush_deadline_ms,
        shutdown_ms, prefetch_kb, drivers_refresh_ms, scoring_ms, watch_ms, benchmark_ms,
        alertmanager_resend_ms;
    const char *on_offset_lost;              /* "halt" or "skip" */
    bool until_caught_up, json, help, dry_run, live;
    const char *out;                         /* --out FILE */
    /* generate, demo */
    int64_t seed, messages, days, units, partitions;
    const char *start;                       /* ISO date */
    const char *truth, *file;
    double bad_share;
    const char *profile;                     /* generate: "programme" or "reference" */
    bool plain;                              /* generate: well-formed values only, one a line */
    /* dead-letters, verify, check */
    const char *messages_file;
    int64_t limit;
    const char *reason;
    /* analyze */
    const char *outcome, *drivers, *missing, *cluster, *day, *metric, *column, *scale, *weight, *na;
    int64_t top;
    double false_alarms, fire;               /* watch: per 1,000 buckets, or the threshold; or 0 */
    const char *autocorrelation;             /* watch: A,PHI */
    bool explain, path;
    const char *segment;                     /* whatif */
    double false_episodes;                   /* backtest: a year; 0 = the model's */
    const char *from, *until, *kpi;          /* backtest */
    struct fp_kafka_config kafka;            /* from kafka.* */
    const char *const *arguments;            /* positional, after the command */
    size_t argument_count;
    struct fp_options_private *own;
};

enum fp_command {                 /* bit set: which commands take an option */
    FP_CMD_RUN = 1, FP_CMD_CHECK = 2, FP_CMD_MIGRATE = 4, FP_CMD_GENERATE = 8, FP_CMD_DEMO = 16,
    FP_CMD_VERIFY = 32, FP_CMD_DEAD_LETTERS = 64, FP_CMD_HEALTHCHECK = 128, FP_CMD_ERASE = 256,
    FP_CMD_REFERENCE = 512, FP_CMD_ANALYZE = 1024, FP_CMD_EXPLAIN = 2048, FP_CMD_WHATIF = 4096,
    FP_CMD_BACKTEST = 8192
};

/* Text members are never NULL (absent = ""), apart from postgres_password and alertmanager_token.
 *
 * Reads file, environment and argv[0…argc-1] (after the command's name). Every problem is
 * collected: FP_REJECT with all of them in `problems` text (one per line, naming option, source and
 * mend); then *options is filled too, with the default in place of each bad value, so that `check`
 * can look at the rest; free it. FP_FATAL: no memory, *options NULL. With --help nothing else is a
 * problem. */
enum fp_status fp_options_parse(enum fp_command command, int argc, char **argv,
                                struct fp_options **options, char *problems,
                                size_t problems_size) FP_MUST_CHECK;
void fp_options_free(struct fp_options *options);

/* Edits that make one name of the other, at most limit + 1; for "did you mean". */
size_t fp_edit_distance(const char *a, const char *b, size_t limit);

void fp_options_help(FILE *out, enum fp_command command, const char *name, const char *summary);
/* Every option with its value and where it came from, as one line of JSON; secrets masked. */
void fp_options_dump(FILE *out, const struct fp_options *options);
void fp_options_reference(FILE *out);                               /* Markdown */

#endif
