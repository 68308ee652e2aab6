/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of options as --help, as the reference page and as the dump at start. Defaults and
 * bounds are shown by converting them, so they read the way a user would write them. */
#include <string.h>

#include "daemon/log.h"
#include "daemon/options_table.h"

#define HELP_WIDTH 96
#define HELP_INDENT 6

static void put_flag(FILE *out, const char *name)
{
    fputs("--", out);
    for (; *name; name++)
        putc(*name == '_' ? '-' : *name, out);
}

static void put_wrapped(FILE *out, const char *text)
{
    size_t column = HELP_INDENT;
    fprintf(out, "%*s", HELP_INDENT, "");
    for (bool first = true; *text; first = false) {
        size_t len = strcspn(text, " ");
        if (!first && column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (!first) {
            putc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)len, text);
        column += len;
        text += len + strspn(text + len, " ");
    }
    putc('\n', out);
}

/* The bounds and the default in their own units: by storing them into a scratch value. */
static void show_number(const struct fp_option *option, double number, char *out, size_t size)
{
    struct fp_options scratch;
    memset(&scratch, 0, sizeof scratch);
    void *member = (char *)&scratch + option->offset;
    if (option->type == FP_OPTION_DOUBLE)
        *(double *)member = number;
    else
        *(int64_t *)member = (int64_t)number;
    fp_option_show(option, &scratch, out, size);
}

static void describe_values(const struct fp_option *option, char *out, size_t size)
{
    char low[32], high[32];
    out[0] = '\0';
    if (option->type == FP_OPTION_ENUM) {
        snprintf(out, size, "%s", option->values);
    } else if (option->type >= FP_OPTION_INT && option->type != FP_OPTION_BOOL) {
        show_number(option, option->min, low, sizeof low);
        show_number(option, option->max, high, sizeof high);
        snprintf(out, size, "%s to %s", low, high);
    }
}

static void describe_default(const struct fp_option *option, char *out, size_t size)
{
    struct fp_options scratch;
    char why[64];
    snprintf(out, size, "%s", option->fallback);
    if (option->type < FP_OPTION_INT)
        return;
    memset(&scratch, 0, sizeof scratch);
    if (fp_option_store(option, option->fallback, &scratch, why, sizeof why))
        fp_option_show(option, &scratch, out, size);
}

static void put_help(FILE *out, const struct fp_option *option, bool required)
{
    char values[80], fallback[80];
    describe_values(option, values, sizeof values);
    describe_default(option, fallback, sizeof fallback);
    fputs("  ", out);
    put_flag(out, option->name);
    fprintf(out, "%s%s\n", option->type == FP_OPTION_BOOL ? "" : " ",
            option->type == FP_OPTION_BOOL ? "" : option->metavar);
    put_wrapped(out, option->help);
    if (required)
        fprintf(out, "%*sRequired.\n", HELP_INDENT, "");
    else if (option->type != FP_OPTION_BOOL && *fallback)
        fprintf(out, "%*sDefault %s%s%s%s\n", HELP_INDENT, "", fallback, *values ? " (" : ".",
                values, *values ? ")." : "");
}

void fp_options_help(FILE *out, enum fp_command command, const char *name, const char *summary)
{
    const struct fp_command_form *form = fp_command_form(command);
    fprintf(out, "Usage: flightpath %s [OPTIONS]%s%s\n\n%s\n\nOptions:\n", name,
            *form->arguments ? " " : "", form->arguments, summary);
    for (size_t i = 0; i < fp_option_count; i++)
        if (fp_option_table[i].commands & command)
            put_help(out, &fp_option_table[i], (fp_option_table[i].required & command) != 0);
    if (command & FP_KAFKA_COMMANDS) {
        fputs("  --kafka.PROPERTY VALUE\n", out);
        put_wrapped(out, "Any property of librdkafka, e.g. --kafka.bootstrap.servers HOST:PORT. "
                         "--kafka.PROPERTY_file FILE reads a secret from a file.");
    }
    fputs(
        "\nEach option can stand in the configuration file (name = value, with _ for -) or in the\n"
        "environment (FLIGHTPATH_NAME); flags win over the environment, the environment over the\n"
        "file. `flightpath reference` prints all of them. Exit codes: 0 fine, 1 failed, 2 usage\n"
        "or configuration.\n",
        out);
}

/* ---- reference page -------------------------------------------------------------------------- */

static const char *type_name(enum fp_option_type type)
{
    static const char *const names[] = {"text",     "list", "choice", "number",
                                        "duration", "size", "number", "true or false"};
    return names[type];
}

static void put_commands(FILE *out, unsigned commands)
{
    const char *separator = "";
    for (const struct fp_command_form *form = fp_command_forms; form->name; form++) {
        if (commands & form->command) {
            fprintf(out, "%s%s", separator, form->name);
            separator = ", ";
        }
    }
}

/* A | would end the cell. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? " \\| " : "%c", *text);
}

static void put_row(FILE *out, const struct fp_option *option)
{
    char values[80], fallback[80];
    describe_values(option, values, sizeof values);
    describe_default(option, fallback, sizeof fallback);
    fprintf(out, "| `%s` | %s%s", option->name, type_name(option->type), *values ? ", " : "");
    put_cell(out, values);
    fprintf(out, " | %s%s%s | ", *fallback ? "`" : "", fallback, *fallback ? "`" : "");
    put_cell(out, option->help);
    if (option->flags & FP_OPTION_RELOADABLE)
        fputs(" *Read again on SIGHUP.*", out);
    if (option->required) {
        fputs(" *Required by ", out);
        put_commands(out, option->required);
        fputs(".*", out);
    }
    fputs(" | ", out);
    if (option->commands == FP_ALL_COMMANDS)
        fputs("all", out);
    else
        put_commands(out, option->commands);
    fputs(" |\n", out);
}

static void put_rows(FILE *out, const char *title, bool flag_only)
{
    fprintf(out,
            "## %s\n\n| option | values | default | meaning | commands |\n"
            "|---|---|---|---|---|\n",
            title);
    for (size_t i = 0; i < fp_option_count; i++) {
        const struct fp_option *option = &fp_option_table[i];
        if (((option->flags & FP_OPTION_FLAG_ONLY) != 0) == flag_only)
            put_row(out, option);
    }
    putc('\n', out);
}

void fp_options_reference(FILE *out)
{
    fputs(
        "# Options of Flightpath\n\n"
        "This page is printed by `flightpath reference` from the table the program reads.\n\n"
        "An option is set in the configuration file (`--config FILE` or `FLIGHTPATH_CONFIG`), in\n"
        "the environment or as a flag; a flag wins over the environment, the environment over the\n"
        "file. For `flush_ms`:\n\n"
        "| where | how |\n|---|---|\n"
        "| file | `flush_ms = 500` |\n"
        "| environment | `FLIGHTPATH_FLUSH_MS=500` |\n"
        "| flag | `--flush-ms 500` or `--flush-ms=500` |\n\n"
        "The file is UTF-8 with one `name = value` a line. A line that begins with `#` is a\n"
        "comment. A value in double quotes is taken as it is (`\\\"` and `\\\\` inside).\n"
        "Durations are milliseconds, or have a unit: `500ms`, `2s`, `5m`, `1h`; sizes are bytes,\n"
        "or have one: `512KiB`, `64MiB`, `1GiB`. A file may hold options of any command; all\n"
        "mistakes are reported at once and the exit code is then 2.\n\n",
        out);
    put_rows(out, "Settings", false);
    put_rows(out, "Of one invocation: flags only", true);
    fputs(
        "## Kafka\n\n"
        "`kafka.PROPERTY` is passed to librdkafka as it is: `kafka.bootstrap.servers`,\n"
        "`kafka.security.protocol`, `kafka.sasl.username` and so on. In the environment dots are\n"
        "underscores: `FLIGHTPATH_KAFKA_BOOTSTRAP_SERVERS` (a double underscore stands for an\n"
        "underscore). `kafka.PROPERTY_file` (`FLIGHTPATH_KAFKA_SASL_PASSWORD_FILE`) reads the\n"
        "property from a file, for secrets; a property of librdkafka whose own name ends in\n"
        "`.file` is set in the file or as a flag. What the program must decide itself is refused:\n"
        "`group.id`, `auto.offset.reset`, `enable.auto.commit` and the like.\n",
        out);
}

/* ---- dump ------------------------------------------------------------------------------------ */

static void put_value(FILE *out, const char *name, const char *value, const char *source)
{
    char text[2048];
    fp_log_escape(text, sizeof text, name);
    fprintf(out, ",\"%s\":{\"value\":\"", text);
    fp_log_escape(text, sizeof text, value);
    fprintf(out, "%s\",\"from\":\"", text);
    fp_log_escape(text, sizeof text, source ? source : "default");
    fprintf(out, "%s\"}", text);
}

void fp_options_dump(FILE *out, const struct fp_options *options)
{
    char value[1024], name[256];
    fputs("{\"level\":\"info\",\"event\":\"options\"", out);
    for (size_t i = 0; i < fp_option_count; i++) {
        const struct fp_option *option = &fp_option_table[i];
        if ((option->flags & FP_OPTION_FLAG_ONLY) && options->own->source[i] == NULL)
            continue;
        fp_option_show(option, options, value, sizeof value);
        put_value(out, option->name, value, options->own->source[i]);
    }
    for (size_t i = 0; i < options->kafka.property_count; i++) {
        const struct fp_property *property = &options->kafka.properties[i];
        snprintf(name, sizeof name, "kafka.%s", property->name);
        put_value(out, name, fp_kafka_property_is_secret(property->name) ? "***" : property->value,
                  options->own->property_source[i]);
    }
    fputs("}\n", out);
}
