/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one table of options and what its readers share. Inside daemon/options*.c only.
 *
 * To add an option: a member in struct fp_options, a row in options_table.c. Parser, range check,
 * --help, reference page and dump follow from the row. */
#ifndef FP_OPTIONS_TABLE_H
#define FP_OPTIONS_TABLE_H

#include "daemon/options.h"

enum fp_option_type {
    FP_OPTION_TEXT,
    FP_OPTION_LIST, /* comma separated text */
    FP_OPTION_ENUM, /* one of `values` */
    FP_OPTION_INT,
    FP_OPTION_DURATION_MS, /* 500, 500ms, 2s, 5m, 1h */
    FP_OPTION_SIZE,        /* bytes: 4096, 64KiB, 8MiB, 1GiB */
    FP_OPTION_DOUBLE,
    FP_OPTION_BOOL
};

enum fp_option_flag {
    FP_OPTION_SECRET = 1,     /* never shown */
    FP_OPTION_RELOADABLE = 2, /* taken again on SIGHUP */
    FP_OPTION_MAY_BE_EMPTY = 4,
    FP_OPTION_FLAG_ONLY = 8, /* of one invocation: not in file or environment */
    FP_OPTION_CONNINFO = 16  /* shown with its password masked; a problem never quotes it */
};

struct fp_option {
    const char *name;
    enum fp_option_type type;
    size_t offset; /* of the member in struct fp_options */
    const char *fallback;
    double min, max;                    /* of numbers; both 0: no bounds */
    const char *values;                 /* of an enum: "halt|skip" */
    unsigned flags, commands, required; /* bit sets; required: by which commands */
    const char *metavar, *help;
    const char *(*check)(const char *value); /* NULL, or what is wrong and how to mend it */
};

#define FP_ALL_COMMANDS 0x3FFFu
#define FP_KAFKA_COMMANDS /* that talk to Kafka */ \
    ((unsigned)(FP_CMD_RUN | FP_CMD_DEMO | FP_CMD_CHECK | FP_CMD_GENERATE | FP_CMD_VERIFY | \
                FP_CMD_DEAD_LETTERS | FP_CMD_ERASE))

extern const struct fp_option fp_option_table[];
extern const size_t fp_option_count;

struct fp_command_form {
    enum fp_command command;
    const char *name, *arguments; /* positional, for the usage line */
    size_t arguments_min, arguments_max;
};
extern const struct fp_command_form fp_command_forms[];
const struct fp_command_form *fp_command_form(enum fp_command command);

/* ---- checks of rows, see options_check.c: NULL, or what is wrong ----------------------------- */

const char *fp_check_topic(const char *name);
const char *fp_check_optional_topic(const char *name);
const char *fp_check_topics(const char *list);
const char *fp_check_listen(const char *text);
const char *fp_check_date(const char *text);
const char *fp_check_metric(const char *text);
const char *fp_check_scale(const char *text);
const char *fp_check_autocorrelation(const char *text);
const char *fp_check_url(const char *url);   /* of a page, or "" */
const char *fp_check_urls(const char *list); /* of APIs: no query; up to FP_URLS_MAX, or "" */

/* Of kafka.<property>: whether its value is a secret; why it may not be set, or NULL. */
bool fp_kafka_property_is_secret(const char *property);
const char *fp_kafka_property_refusal(const char *property);

/* ---- memory and provenance, see options_take.c ----------------------------------------------- */

struct fp_option_string;

#define FP_KAFKA_PROPERTIES_MAX 128
#define FP_ARGUMENTS_MAX 16

struct fp_options_private {
    struct fp_option_string *strings; /* everything the options point to */
    const char **source;              /* by row of the table; NULL = default */
    struct fp_property property[FP_KAFKA_PROPERTIES_MAX];
    const char *property_source[FP_KAFKA_PROPERTIES_MAX];
    const char *argument[FP_ARGUMENTS_MAX];
    bool no_memory;
};

/* A copy that lives as long as the options; "" and own->no_memory when there is none. */
const char *fp_options_keep(struct fp_options *options, const char *text);
void fp_options_forget(struct fp_options *options); /* frees all of them, wiped */

/* Converts, checks and stores one value. False: *why says what is wrong and how to mend it (without
 * the value itself when it is secret); the member is then untouched. */
bool fp_option_store(const struct fp_option *option, const char *text, struct fp_options *options,
                     char *why, size_t why_size);

/* The closest of the known names, NULL when none is near. `commands`: only options of these. */
const char *fp_option_nearest(const char *name, unsigned commands);

/* The conninfo or URI with its password as ***; truncated to fit. */
void fp_mask_conninfo(const char *conninfo, char *out, size_t size);
/* The value in effect as text, masked where secret. */
void fp_option_show(const struct fp_option *option, const struct fp_options *options, char *out,
                    size_t size);

#endif
