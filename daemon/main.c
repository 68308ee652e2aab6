/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath COMMAND [OPTIONS]: finds the command, reads its options, hands over. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/command.h"
#include "daemon/log.h"
#include "daemon/options.h"

#define PROBLEMS_BYTES 16384

static const struct command {
    const char *name;
    enum fp_command command;
    int (*run)(const struct fp_options *options);
    const char *summary;
} commands[] = {
    {"run", FP_CMD_RUN, fp_cmd_run, "Read Kafka and keep the results in PostgreSQL up to date."},
    {"check", FP_CMD_CHECK, fp_cmd_check,
     "Check configuration, model and sample messages, offline, all mistakes at once."},
    {"migrate", FP_CMD_MIGRATE, fp_cmd_migrate, "Bring the database schema to this version."},
    {"generate", FP_CMD_GENERATE, fp_cmd_generate,
     "Make seeded messages, and the truth the results must show."},
    {"demo", FP_CMD_DEMO, fp_cmd_demo, "Try it out with an embedded Kafka and made-up messages."},
    {"verify", FP_CMD_VERIFY, fp_cmd_verify,
     "Recompute the results by another path and compare bit for bit."},
    {"dead-letters", FP_CMD_DEAD_LETTERS, fp_cmd_dead_letters,
     "List, show or send again what was rejected."},
    {"healthcheck", FP_CMD_HEALTHCHECK, fp_cmd_healthcheck,
     "Ask a running daemon whether it is ready; exit code 0 or 1."},
    {"erase", FP_CMD_ERASE, fp_cmd_erase, "Take out everything of a subject, with a receipt."},
    {"analyze", FP_CMD_ANALYZE, fp_cmd_analyze,
     "Drivers and KPIs of a CSV file, to be held against another tool."},
    {"explain", FP_CMD_EXPLAIN, fp_cmd_explain,
     "Say where a published number comes from, with SQL that gives it again."},
    {"whatif", FP_CMD_WHATIF, fp_cmd_whatif,
     "What goes with a step in a driver, by the published results; not causal."},
    {"backtest", FP_CMD_BACKTEST, fp_cmd_backtest,
     "Say what would have been alerted under a model and a budget, beside what was."},
    {"reference", FP_CMD_REFERENCE, fp_cmd_reference, "Print the page of all options (Markdown)."},
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static void print_usage(FILE *out)
{
    fputs("Usage: flightpath COMMAND [OPTIONS]\n\n"
          "Keeps exact experience metrics from Kafka in PostgreSQL.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`flightpath COMMAND --help` lists its options; `flightpath --version` the version.\n",
          out);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int refuse_command(const char *name)
{
    const char *nearest = NULL;
    size_t limit = 3;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t distance = fp_edit_distance(name, commands[i].name, limit);
        if (distance < limit) {
            nearest = commands[i].name;
            limit = distance;
        }
    }
    if (nearest != NULL)
        fprintf(stderr, "flightpath: unknown command \"%.40s\"; did you mean %s?\n", name, nearest);
    else
        fprintf(stderr, "flightpath: unknown command \"%.40s\"; see flightpath --help\n", name);
    return FP_EXIT_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    static char problems[PROBLEMS_BYTES];
    struct fp_options *options;
    enum fp_log_level level;
    int code = FP_EXIT_OK;
    enum fp_status status =
        fp_options_parse(command->command, argc, argv, &options, problems, sizeof problems);
    if (options == NULL) {
        fputs("flightpath: no memory\n", stderr);
        return FP_EXIT_FAILED;
    }
    if (options->help) {
        fp_options_help(stdout, command->command, command->name, command->summary);
        fp_options_free(options);
        return FP_EXIT_OK;
    }
    if (status != FP_OK) {
        fprintf(stderr, "flightpath %s: the configuration is not right:\n%s", command->name,
                problems);
        code = FP_EXIT_USAGE;
    }
    if (fp_log_level_parse(options->log_level, &level))
        fp_log_level_set(level);
    /* `check` goes on after a mistake in the configuration, so that all mistakes show at once. */
    bool goes_on = command->command == FP_CMD_CHECK && *options->model;
    if (status == FP_OK || goes_on) {
        int result = command->run(options);
        code = code != FP_EXIT_OK ? code : result;
    }
    fp_options_free(options);
    return code;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error, not the end */
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("flightpath " FLIGHTPATH_VERSION);
        return FP_EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        (strcmp(name, "help") == 0 && argc == 2)) {
        print_usage(stdout);
        return FP_EXIT_OK;
    }
    if (argc < 2) {
        print_usage(stderr);
        return FP_EXIT_USAGE;
    }
    if (strcmp(name, "help") == 0) { /* help COMMAND = COMMAND --help */
        static char flag[] = "--help";
        argv[1] = argv[2];
        argv[2] = flag;
        argc = 3;
    }
    const struct command *command = find_command(argv[1]);
    return command ? run_command(command, argc - 2, argv + 2) : refuse_command(argv[1]);
}
