/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One value of one source, and the problems.
 *
 * A file and the environment may hold options of other commands (one file serves all); a flag may
 * not. A value is quoted in a problem only when it cannot be a secret. */
#include "daemon/options_parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES_MAX 65536

struct fp_option_string {
    struct fp_option_string *next;
    char text[];
};

const char *fp_options_keep(struct fp_options *options, const char *text)
{
    size_t size = strlen(text) + 1;
    struct fp_option_string *string = malloc(sizeof *string + size);
    if (string == NULL) {
        options->own->no_memory = true;
        return "";
    }
    memcpy(string->text, text, size);
    string->next = options->own->strings;
    options->own->strings = string;
    return string->text;
}

void fp_options_forget(struct fp_options *options)
{
    struct fp_option_string *string = options->own->strings;
    while (string != NULL) {
        struct fp_option_string *next = string->next;
        explicit_bzero(string->text, strlen(string->text));
        free(string);
        string = next;
    }
    options->own->strings = NULL;
}

/* ---- problems -------------------------------------------------------------------------------- */

void fp_option_problem(struct fp_option_parser *parser, const char *source, const char *format, ...)
{
    char line[1024];
    int len = snprintf(line, sizeof line, "%s%s", source, *source ? ": " : "");
    va_list args;
    va_start(args, format);
    vsnprintf(line + len, sizeof line - (size_t)len, format, args);
    va_end(args);
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = '?';
    parser->count++;
    size_t need = strlen(line) + 1;
    if (parser->used + need + 40 > parser->size) { /* room for the last line */
        parser->unwritten++;
        return;
    }
    parser->used += (size_t)snprintf(parser->problems + parser->used, parser->size - parser->used,
                                     "%s\n", line);
}

/* ---- taking one value ------------------------------------------------------------------------ */

const struct fp_option *fp_option_find(const char *name)
{
    for (size_t i = 0; i < fp_option_count; i++)
        if (strcmp(fp_option_table[i].name, name) == 0)
            return &fp_option_table[i];
    return NULL;
}

const char *fp_option_read_secret(struct fp_option_parser *parser, const char *source,
                                  const char *name, const char *path)
{
    char text[SECRET_BYTES_MAX + 1];
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof text, file) : 0;
    bool failed = file == NULL || ferror(file);
    if (failed)
        fp_option_problem(parser, source, "%s: cannot read \"%s\": %s", name, path,
                          strerror(errno));
    if (file != NULL)
        fclose(file);
    if (failed)
        return NULL;
    if (len > 0 && len < sizeof text && text[len - 1] == '\n')
        len--;
    if (len > 0 && len < sizeof text && text[len - 1] == '\r')
        len--;
    const char *kept = NULL;
    if (len == 0 || len == sizeof text || memchr(text, '\0', len) != NULL) {
        fp_option_problem(parser, source,
                          "%s: \"%s\" holds no secret; write it there as one line of text", name,
                          path);
    } else {
        text[len] = '\0';
        kept = fp_options_keep(parser->options, text);
    }
    explicit_bzero(text, sizeof text);
    return kept;
}

static void set_property(struct fp_option_parser *parser, const char *source, const char *property,
                         const char *value)
{
    struct fp_options *options = parser->options;
    struct fp_options_private *own = options->own;
    size_t i = 0;
    while (i < options->kafka.property_count && strcmp(own->property[i].name, property) != 0)
        i++;
    if (i == FP_KAFKA_PROPERTIES_MAX) {
        fp_option_problem(parser, source, "kafka.%s: more than %d Kafka properties; remove some",
                          property, FP_KAFKA_PROPERTIES_MAX);
        return;
    }
    if (i == options->kafka.property_count) {
        own->property[i].name = fp_options_keep(options, property);
        options->kafka.property_count++;
    }
    own->property[i].value = fp_options_keep(options, value);
    own->property_source[i] = fp_options_keep(options, source);
}

static void take_property(struct fp_option_parser *parser, const char *source, const char *property,
                          const char *value)
{
    char name[128];
    snprintf(name, sizeof name, "%s", property);
    size_t len = strlen(name);
    const char *refusal = fp_kafka_property_refusal(property);
    if (len == 0 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != len ||
        len + 1 == sizeof name) {
        fp_option_problem(parser, source,
                          "kafka.%s: not the name of a librdkafka property, which are lower "
                          "case with dots, e.g. kafka.bootstrap.servers",
                          property);
        return;
    }
    if (refusal != NULL) {
        fp_option_problem(parser, source, "kafka.%s: may not be set: %s", property, refusal);
        return;
    }
    if (*value == '\0') {
        fp_option_problem(parser, source, "kafka.%s: is empty; give a value or remove it",
                          property);
        return;
    }
    if (len > 5 && strcmp(name + len - 5, "_file") == 0) { /* a secret in a file */
        value = fp_option_read_secret(parser, source, property, value);
        name[len - 5] = '\0';
    }
    if (value != NULL)
        set_property(parser, source, name, value);
}

static void unknown_option(struct fp_option_parser *parser, const char *source,
                           enum fp_option_origin origin, const char *name)
{
    const char *near = fp_option_nearest(name, origin == FP_FROM_FLAG ? parser->command : ~0u);
    char hint[160] = "";
    if (near != NULL)
        snprintf(hint, sizeof hint, "; did you mean %s?", near);
    else if (origin != FP_FROM_ENVIRONMENT && strchr(name, '.') != NULL)
        snprintf(hint, sizeof hint, "; properties of librdkafka are written kafka.%.80s", name);
    else
        snprintf(hint, sizeof hint, "; see flightpath %s --help",
                 fp_command_form(parser->command)->name);
    fp_option_problem(parser, source, "%s: unknown option%s", name, hint);
}

/* One value of one source. `name` as in the file. */
void fp_option_take(struct fp_option_parser *parser, enum fp_option_origin origin,
                    const char *source, const char *name, const char *value)
{
    char why[512];
    if (strncmp(name, FP_KAFKA_PREFIX, strlen(FP_KAFKA_PREFIX)) == 0) {
        take_property(parser, source, name + strlen(FP_KAFKA_PREFIX), value);
        return;
    }
    const struct fp_option *option = fp_option_find(name);
    if (option == NULL) {
        unknown_option(parser, source, origin, name);
    } else if (origin == FP_FROM_FLAG && !(option->commands & parser->command)) {
        fp_option_problem(parser, source, "%s: not an option of flightpath %s; see its --help",
                          name, fp_command_form(parser->command)->name);
    } else if (origin != FP_FROM_FLAG && (option->flags & FP_OPTION_FLAG_ONLY)) {
        fp_option_problem(parser, source, "%s: belongs on the command line only; remove it here",
                          name);
    } else if (!fp_option_store(option, value, parser->options, why, sizeof why)) {
        fp_option_problem(parser, source, "%s: %s", name,
                          option->flags & (FP_OPTION_SECRET | FP_OPTION_CONNINFO) && *why == '"'
                              ? "not a valid value"
                              : why);
    } else {
        parser->options->own->source[option - fp_option_table] =
            fp_options_keep(parser->options, source);
    }
}
