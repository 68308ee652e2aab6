/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the readers of file, environment and flags share. Inside daemon/options*.c only. */
#ifndef FP_OPTIONS_PARSER_H
#define FP_OPTIONS_PARSER_H

#include "daemon/options_table.h"

#define FP_KAFKA_PREFIX "kafka."
#define FP_ENVIRONMENT_PREFIX "FLIGHTPATH_"
#define FP_SOURCE_MAX 300

enum fp_option_origin { FP_FROM_FILE, FP_FROM_ENVIRONMENT, FP_FROM_FLAG };

struct fp_option_parser {
    struct fp_options *options;
    enum fp_command command;
    char *problems; /* text handed to the caller */
    size_t size, used;
    size_t count, unwritten; /* problems found; those for which there was no room */
};

/* Adds a line "source: …" (source may be ""). */
void fp_option_problem(struct fp_option_parser *parser, const char *source, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes one value: finds the row, converts, checks, stores; a problem otherwise. `name` as it is
 * written in a file. */
void fp_option_take(struct fp_option_parser *parser, enum fp_option_origin origin,
                    const char *source, const char *name, const char *value);

const struct fp_option *fp_option_find(const char *name); /* NULL: unknown */

/* The secret in a file, without its last line end; NULL after adding a problem. */
const char *fp_option_read_secret(struct fp_option_parser *parser, const char *source,
                                  const char *name, const char *path);

/* Reads the configuration file; named_by: what named it. */
void fp_option_take_file(struct fp_option_parser *parser, const char *path, const char *named_by);

#endif
