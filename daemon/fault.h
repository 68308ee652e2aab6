/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Named points at which a test can kill, stop or delay the process; nothing in a release build.
 *
 * FLIGHTPATH_FAULT=name:nth:action, several separated by commas; nth counts passages from 1;
 * action: kill (SIGKILL), exit (exit code 99), stop (SIGSTOP), sleep=<ms>. Threads: any. */
#ifndef FP_FAULT_H
#define FP_FAULT_H

#ifdef FLIGHTPATH_FAULT_POINTS
void fp_fault_point(const char *name);
#define FP_POINT(name) fp_fault_point(name)
#else
#define FP_POINT(name) ((void)0)
#endif

#endif
