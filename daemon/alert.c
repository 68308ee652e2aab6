/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/alert.h"

const char *fp_alert_state_name(enum fp_alert_state state)
{
    static const char *const names[] = {"pending",   "firing",  "recovering",     "resolved",
                                        "withdrawn", "no_data", "insufficient_n", "suspect_data"};
    return names[state];
}
