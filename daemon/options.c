/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where options come from: file, then environment, then flags; a later source wins.
 *
 * Every source ends in fp_option_take(), which writes a problem for what it cannot take; nothing
 * stops at the first one. What concerns several options is checked when all have been read. */
#include "daemon/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/options_parser.h"

/* ---- environment ----------------------------------------------------------------------------- */

/* FLIGHTPATH_ variables that are not options: ours of the program and its tests, and what
 * Kubernetes sets in every pod beside a service that is called flightpath. A last _ stands for any
 * more. */
static const char *const foreign[] = {"CONFIG", "FAULT", "BIN",  "CACHE", "BUILD",
                                      "JOBS",   "TEST_", "PORT", "PORT_", "SERVICE_"};

static bool is_foreign(const char *rest)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        size_t len = strlen(foreign[i]);
        bool whole = foreign[i][len - 1] != '_';
        if (strncmp(rest, foreign[i], len) == 0 && (!whole || rest[len] == '\0'))
            return true;
    }
    return false;
}

/* BOOTSTRAP_SERVERS → bootstrap.servers; a double underscore is an underscore; a last _FILE is the
 * `_file` of a secret. */
static void property_of(const char *rest, char *name, size_t size)
{
    size_t used = 0;
    for (; *rest && used + 1 < size; rest++) {
        bool doubled = rest[0] == '_' && rest[1] == '_';
        bool file = strcmp(rest, "_FILE") == 0;
        name[used++] = doubled || file ? '_'
                       : *rest == '_'  ? '.'
                                       : (char)tolower((unsigned char)*rest);
        rest += doubled;
    }
    name[used] = '\0';
}

static void take_variable(struct fp_option_parser *parser, const char *variable)
{
    char name[200] = FP_KAFKA_PREFIX, source[FP_SOURCE_MAX];
    const char *rest = variable + strlen(FP_ENVIRONMENT_PREFIX);
    const char *equals = strchr(rest, '=');
    if (equals == NULL || equals - rest >= 160)
        return;
    char word[160];
    snprintf(word, sizeof word, "%.*s", (int)(equals - rest), rest);
    if (is_foreign(word))
        return;
    snprintf(source, sizeof source, "environment " FP_ENVIRONMENT_PREFIX "%s", word);
    size_t skip = strlen("KAFKA_");
    if (strncmp(word, "KAFKA_", skip) == 0) {
        property_of(word + skip, name + strlen(FP_KAFKA_PREFIX),
                    sizeof name - strlen(FP_KAFKA_PREFIX));
    } else {
        snprintf(name, sizeof name, "%s", word);
        for (char *at = name; *at; at++)
            *at = (char)tolower((unsigned char)*at);
    }
    fp_option_take(parser, FP_FROM_ENVIRONMENT, source, name, equals + 1);
}

static void take_environment(struct fp_option_parser *parser)
{
    for (char **variable = environ; variable && *variable; variable++)
        if (strncmp(*variable, FP_ENVIRONMENT_PREFIX, strlen(FP_ENVIRONMENT_PREFIX)) == 0)
            take_variable(parser, *variable);
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* "--flush-ms=5" → name "flush_ms", value "5" (NULL without =). False: not a flag. */
static bool split_flag(const char *argument, char *name, size_t size, const char **value)
{
    if (strcmp(argument, "-h") == 0)
        argument = "--help";
    if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0')
        return false;
    const char *equals = strchr(argument, '=');
    size_t len = equals ? (size_t)(equals - argument - 2) : strlen(argument + 2);
    snprintf(name, size, "%.*s", (int)(len < size ? len : size - 1), argument + 2);
    *value = equals ? equals + 1 : NULL;
    if (strncmp(name, FP_KAFKA_PREFIX, strlen(FP_KAFKA_PREFIX)) != 0)
        for (char *at = name; *at; at++)
            *at = *at == '-' ? '_' : *at;
    return true;
}

static void take_argument(struct fp_option_parser *parser, const char *argument)
{
    struct fp_options *options = parser->options;
    const struct fp_command_form *form = fp_command_form(parser->command);
    if (options->argument_count >= form->arguments_max)
        fp_option_problem(parser, "command line",
                          "\"%s\": flightpath %s takes %s; options begin with --", argument,
                          form->name, form->arguments_max ? "no more arguments" : "no arguments");
    else
        options->own->argument[options->argument_count++] = fp_options_keep(options, argument);
}

static void take_flags(struct fp_option_parser *parser, int argc, char **argv)
{
    char name[128], source[FP_SOURCE_MAX];
    const char *value;
    bool flags_over = false;
    for (int i = 0; i < argc; i++) {
        if (!flags_over && strcmp(argv[i], "--") == 0) {
            flags_over = true;
            continue;
        }
        if (flags_over || !split_flag(argv[i], name, sizeof name, &value)) {
            if (!flags_over && argv[i][0] == '-' && argv[i][1] != '\0')
                fp_option_problem(parser, "command line", "\"%s\": options begin with two dashes",
                                  argv[i]);
            else
                take_argument(parser, argv[i]);
            continue;
        }
        snprintf(source, sizeof source, "flag %.*s", (int)strcspn(argv[i], "="), argv[i]);
        const struct fp_option *option = fp_option_find(name);
        bool known = option != NULL || strncmp(name, FP_KAFKA_PREFIX, strlen(FP_KAFKA_PREFIX)) == 0;
        if (value == NULL && option != NULL && option->type == FP_OPTION_BOOL) {
            value = "true";
        } else if (value == NULL && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0) {
            value = known || argv[i + 1][0] != '-' ? argv[++i] : "";
        } else if (value == NULL && known) {
            fp_option_problem(parser, source, "%s: needs a value: %s VALUE", name, argv[i]);
            continue;
        }
        if (option == NULL || strcmp(option->name, "config") != 0) /* that one was read before */
            fp_option_take(parser, FP_FROM_FLAG, source, name, value ? value : "");
    }
}

/* The configuration file must be known before anything else is read. */
static void find_file(int argc, char **argv, const char **path, const char **named_by)
{
    char name[128];
    const char *value;
    *path = getenv(FP_ENVIRONMENT_PREFIX "CONFIG");
    *named_by = "environment " FP_ENVIRONMENT_PREFIX "CONFIG";
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!split_flag(argv[i], name, sizeof name, &value) || strcmp(name, "config") != 0)
            continue;
        if (value == NULL && i + 1 < argc)
            value = argv[i + 1];
        if (value != NULL) {
            *path = value;
            *named_by = "flag --config";
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void set_defaults(struct fp_option_parser *parser)
{
    char why[256];
    for (size_t i = 0; i < fp_option_count; i++) {
        const struct fp_option *option = &fp_option_table[i];
        if (*option->fallback)
            (void)!fp_option_store(option, option->fallback, parser->options, why, sizeof why);
        else if (option->type <= FP_OPTION_ENUM)
            *(const char **)(void *)((char *)parser->options + option->offset) = "";
    }
}

static void split_topics(struct fp_options *options)
{
    char name[256];
    for (const char *at = options->topics; *at && options->topic_count < FP_TOPICS_MAX;) {
        at += strspn(at, " ,");
        size_t len = strcspn(at, " ,");
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        if (len > 0)
            options->topic[options->topic_count++] = fp_options_keep(options, name);
        at += len;
    }
}

static bool has_property(const struct fp_options *options, const char *name)
{
    for (size_t i = 0; i < options->kafka.property_count; i++)
        if (strcmp(options->kafka.properties[i].name, name) == 0)
            return true;
    return false;
}

static void problem_missing(struct fp_option_parser *parser, const char *name)
{
    char variable[64], flag[64];
    snprintf(variable, sizeof variable, "%s", name);
    snprintf(flag, sizeof flag, "%s", name);
    for (char *at = variable; *at; at++)
        *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
    for (char *at = flag; *at; at++)
        *at = *at == '_' ? '-' : *at;
    fp_option_problem(parser, "",
                      "%s: is required; set it in the configuration file, as " FP_ENVIRONMENT_PREFIX
                      "%s in the environment or as --%s",
                      name, variable, flag);
}

/* What only shows when everything has been read. */
static void check_whole(struct fp_option_parser *parser)
{
    struct fp_options *options = parser->options;
    const char *outputs[][2] = {{"dead_letters_topic", options->dead_letters_topic},
                                {"alerts_topic", options->alerts_topic}};
    for (size_t i = 0; i < options->topic_count; i++) {
        for (size_t k = 0; k < 2; k++)
            if (strcmp(options->topic[i], outputs[k][1]) == 0)
                fp_option_problem(parser, "",
                                  "%s: \"%s\" is among `topics` too; records would go in circles, "
                                  "name another topic",
                                  outputs[k][0], outputs[k][1]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(options->topic[i], options->topic[k]) == 0)
                fp_option_problem(parser, "", "topics: \"%s\" is there twice; remove one",
                                  options->topic[i]);
    }
    for (size_t i = 0; i < fp_option_count; i++) {
        const struct fp_option *option = &fp_option_table[i];
        if ((option->required & parser->command) && options->own->source[i] == NULL)
            problem_missing(parser, option->name);
    }
    if ((parser->command & (FP_CMD_RUN | FP_CMD_DEAD_LETTERS)) &&
        !has_property(options, "bootstrap.servers"))
        problem_missing(parser, "kafka.bootstrap.servers");
    if (options->argument_count < fp_command_form(parser->command)->arguments_min)
        fp_option_problem(parser, "command line", "flightpath %s needs %s",
                          fp_command_form(parser->command)->name,
                          fp_command_form(parser->command)->arguments);
    const char *password = options->postgres_password_file;
    if (*password)
        options->postgres_password =
            fp_option_read_secret(parser, "", "postgres_password_file", password);
    const char *token = options->alertmanager_token_file;
    if (*token)
        options->alertmanager_token =
            fp_option_read_secret(parser, "", "alertmanager_token_file", token);
}

static struct fp_options *new_options(void)
{
    struct fp_options *options = calloc(1, sizeof *options);
    struct fp_options_private *own = calloc(1, sizeof *own);
    const char **source = calloc(fp_option_count, sizeof *source);
    if (options == NULL || own == NULL || source == NULL) {
        free(options);
        free(own);
        free(source);
        return NULL;
    }
    own->source = source;
    options->own = own;
    options->kafka.properties = own->property;
    options->arguments = own->argument;
    return options;
}

enum fp_status fp_options_parse(enum fp_command command, int argc, char **argv,
                                struct fp_options **options, char *problems, size_t problems_size)
{
    struct fp_option_parser parser = {
        .options = new_options(), .command = command, .problems = problems, .size = problems_size};
    const char *path, *named_by;
    problems[0] = '\0';
    *options = NULL;
    if (parser.options == NULL)
        return FP_FATAL;
    set_defaults(&parser);
    find_file(argc, argv, &path, &named_by);
    if (path != NULL && *path)
        fp_option_take_file(&parser, path, named_by);
    take_environment(&parser);
    take_flags(&parser, argc, argv);
    split_topics(parser.options);
    parser.options->kafka.prefetch_kb = parser.options->prefetch_kb;
    check_whole(&parser);
    if (parser.options->own->no_memory) {
        fp_options_free(parser.options);
        return FP_FATAL;
    }
    if (parser.unwritten > 0)
        snprintf(problems + parser.used, problems_size - parser.used, "... and %zu more\n",
                 parser.unwritten);
    *options = parser.options;
    return parser.count > 0 && !parser.options->help ? FP_REJECT : FP_OK;
}

void fp_options_free(struct fp_options *options)
{
    if (options == NULL)
        return;
    fp_options_forget(options);
    free(options->own->source);
    free(options->own);
    free(options);
}
