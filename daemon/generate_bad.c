/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ways a message can be wrong, and the reason a reader should give for each. */
#include "daemon/generate_parts.h"

enum fits { ANY = 0, TOUCHPOINT = 1, RESPONSE = 2, MEASURES = 4 };

/* Spoiled text needs whole-text formats to be sure of its reason: generate_text.c writes every bad
 * message as structured CloudEvents. */
static const struct {
    const char *name, *reason;
    unsigned fits;
} table[FP_BADS] = {
    [FP_BAD_NONE] = {"none", NULL, ANY},
    [FP_BAD_TRUNCATED] = {"truncated", "bad_json", ANY},
    [FP_BAD_EMPTY] = {"empty_value", "empty", ANY},
    [FP_BAD_UTF8] = {"invalid_utf8", "bad_utf8", ANY},
    [FP_BAD_DUPLICATE_KEY] = {"duplicate_key", "duplicate_key", ANY},
    [FP_BAD_TRAILING] = {"trailing_bytes", "trailing_bytes", ANY},
    [FP_BAD_DEEP] = {"too_deep", "too_deep", ANY},
    [FP_BAD_ARRAY] = {"not_an_object", "not_an_object", ANY},
    [FP_BAD_TYPE_MISMATCH] = {"wrong_type", "type_mismatch", TOUCHPOINT | RESPONSE},
    [FP_BAD_MISSING_FIELD] = {"missing_field", "missing_field", RESPONSE},
    [FP_BAD_VALUE] = {"bad_value", "bad_value", TOUCHPOINT | RESPONSE},
    [FP_BAD_TIME] = {"bad_time", "bad_time", ANY},
    [FP_BAD_UNKNOWN_TYPE] = {"unknown_type", "unknown_type", ANY},
    [FP_BAD_SPECVERSION] = {"bad_specversion", "bad_specversion", ANY},
    [FP_BAD_UNKNOWN_ITEM] = {"unknown_item", "unknown_item", RESPONSE},
    [FP_BAD_OUT_OF_SCALE] = {"out_of_scale", "out_of_scale", RESPONSE},
    [FP_BAD_UNKNOWN_MEASURE] = {"unknown_measure", "unknown_measure", TOUCHPOINT},
    [FP_BAD_OUT_OF_RANGE] = {"out_of_range", "out_of_range", TOUCHPOINT | MEASURES},
    [FP_BAD_DECIMALS] = {"too_many_decimals", "too_many_decimals", TOUCHPOINT | MEASURES},
    [FP_BAD_FUTURE] = {"future", "future", TOUCHPOINT | RESPONSE},
    [FP_BAD_TOO_OLD] = {"too_old", "too_old", TOUCHPOINT | RESPONSE},
    [FP_BAD_SUBMITTED_AT] = {"submitted_at_changed", "submitted_at_changed", RESPONSE},
    [FP_BAD_TOMBSTONE] = {"tombstone", NULL, ANY},
    [FP_BAD_FOREIGN] = {"foreign_event", NULL, ANY},
};

const char *fp_bad_name(enum fp_bad bad)
{
    return table[bad].name;
}

const char *fp_bad_reason(enum fp_bad bad)
{
    return table[bad].reason;
}

static bool suits(enum fp_bad bad, const struct fp_plan *plan)
{
    unsigned fits = table[bad].fits;
    unsigned type = plan->type == FP_EVENT_TOUCHPOINT ? TOUCHPOINT
                    : plan->type == FP_EVENT_RESPONSE ? RESPONSE
                                                      : ANY;
    if ((fits & (TOUCHPOINT | RESPONSE)) != 0 && (fits & type) == 0)
        return false;
    return (fits & MEASURES) == 0 || plan->measure_count > 0;
}

enum fp_bad fp_bad_draw(struct cx_random *random, const struct fp_plan *plan)
{
    enum fp_bad fitting[FP_BADS];
    uint32_t count = 0;
    /* Responses are fewer: what only they can have wrong is preferred there. */
    bool special = plan->type == FP_EVENT_RESPONSE && cx_random_chance(random, 0.6);
    for (int i = FP_BAD_NONE + 1; i < FP_BADS; i++)
        if (suits((enum fp_bad)i, plan) && (!special || (table[i].fits & RESPONSE) != 0))
            fitting[count++] = (enum fp_bad)i;
    return count > 0 ? fitting[cx_random_below(random, count)] : FP_BAD_NONE;
}

void fp_bad_text(struct fp_text *value, enum fp_bad bad)
{
    switch (bad) {
    case FP_BAD_TRUNCATED:
        value->len = value->len > 20 ? value->len - 17 : 1;
        break;
    case FP_BAD_EMPTY:
        value->len = 0;
        break;
    case FP_BAD_TRAILING:
        fp_text_put(value, "{}");
        break;
    case FP_BAD_ARRAY:
        value->len = 0;
        fp_text_put(value, "[1,2]");
        break;
    default: /* the others are wrong in a field: written wrong from the start */
        break;
    }
}
