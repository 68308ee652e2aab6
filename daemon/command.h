/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sub-commands of the program, one function each in daemon/cmd_<name>.c. Each gets parsed,
 * checked options and returns the process's exit code. */
#ifndef FP_COMMAND_H
#define FP_COMMAND_H

#include "daemon/options.h"

enum fp_exit { FP_EXIT_OK = 0, FP_EXIT_FAILED = 1, FP_EXIT_USAGE = 2 };

int fp_cmd_run(const struct fp_options *options);
int fp_cmd_check(const struct fp_options *options);
int fp_cmd_migrate(const struct fp_options *options);
int fp_cmd_generate(const struct fp_options *options);
int fp_cmd_demo(const struct fp_options *options);
int fp_cmd_verify(const struct fp_options *options);
int fp_cmd_dead_letters(const struct fp_options *options);
int fp_cmd_healthcheck(const struct fp_options *options);
int fp_cmd_erase(const struct fp_options *options);
int fp_cmd_analyze(const struct fp_options *options);
int fp_cmd_explain(const struct fp_options *options);
int fp_cmd_whatif(const struct fp_options *options);
int fp_cmd_backtest(const struct fp_options *options);
int fp_cmd_reference(const struct fp_options *options);

#endif
