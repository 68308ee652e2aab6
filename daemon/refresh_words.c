/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The library's enums as the words of the database: those that `flightpath analyze` prints. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/refresh_parts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

const char *fp_fit_status_word(enum cx_fit_status status)
{
    static const char *const words[] = {[CX_FIT_OK] = "ok",
                                        [CX_FIT_PERFECT] = "perfect_fit",
                                        [CX_FIT_NO_ROWS] = "no_rows",
                                        [CX_FIT_OUTCOME_CONSTANT] = "outcome_constant",
                                        [CX_FIT_NO_DRIVERS] = "no_drivers",
                                        [CX_FIT_INSUFFICIENT] = "insufficient"};
    return words[status];
}

const char *fp_method_word(enum cx_method method)
{
    static const char *const words[] = {[CX_METHOD_AUTO] = "none",
                                        [CX_METHOD_EM] = "em",
                                        [CX_METHOD_LISTWISE] = "listwise",
                                        [CX_METHOD_PAIRWISE] = "pairwise"};
    return words[method];
}

const char *fp_key_word(enum cx_key key)
{
    static const char *const words[] = {
        [CX_KEY_NO] = "none", [CX_KEY_LIKELY] = "likely_key", [CX_KEY_YES] = "key"};
    return words[key];
}

const char *fp_driver_status_word(enum cx_drop_reason dropped, enum cx_fit_status status)
{
    static const char *const words[] = {[CX_DROP_EMPTY] = "empty",
                                        [CX_DROP_CONSTANT] = "constant",
                                        [CX_DROP_ALIASED] = "aliased",
                                        [CX_DROP_COLLINEAR] = "collinear",
                                        [CX_DROP_NO_VALUE] = "does_not_apply"};
    return dropped == CX_KEPT ? fp_fit_status_word(status) : words[dropped];
}

void fp_flag_words(unsigned flags, char *text, size_t size)
{
    static const struct {
        unsigned flag;
        const char *word;
    } words[] = {{CX_FLAG_SIGN_CONFLICT, "sign_conflict"},
                 {CX_FLAG_LOW_VARIANCE, "low_variance"},
                 {CX_FLAG_THIN_N, "thin_n"},
                 {CX_FLAG_UNSTABLE, "unstable"},
                 {CX_FLAG_WIDE, "wide"},
                 {CX_FLAG_MODEL_BASED, "model_based"},
                 {CX_FLAG_CLUSTERED, "clustered"},
                 {CX_FLAG_NOT_CONVERGED, "not_converged"}};
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (flags & words[i].flag && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "," : "",
                                     words[i].word);
}

void fp_segment_text(int kind, int32_t segment, const char *name, char *text, size_t size)
{
    static const char *const kinds[FP_SEGMENTS] = {"all", "journey", "touchpoint", "unit",
                                                   "tenure"};
    static const char *const bands[] = {[FP_BAND_NONE] = "none",
                                        [FP_BAND_APPLICANT] = "applicant",
                                        [FP_BAND_TO_3] = "0-3",
                                        [FP_BAND_TO_12] = "3-12",
                                        [FP_BAND_LONGER] = "12+"};
    if (kind == FP_SEGMENT_ALL || (kind == FP_SEGMENT_UNIT && segment == 0))
        snprintf(text, size, "%s", kinds[kind]);
    else if (kind == FP_SEGMENT_TENURE && segment >= FP_BAND_NONE && segment <= FP_BAND_LONGER)
        snprintf(text, size, "%s:%s", kinds[kind], bands[segment]);
    else if (kind >= 0 && kind < FP_SEGMENTS && *name)
        snprintf(text, size, "%s:%s", kinds[kind], name);
    else
        snprintf(text, size, "%d:%" PRId32, kind, segment);
}

uint64_t fp_refresh_seed(const struct fp_driver_model *model, const char *segment, int32_t day)
{
    uint64_t seed = XXH3_64bits(model->id, strlen(model->id) + 1);
    seed = XXH3_64bits_withSeed(model->definition, strlen(model->definition) + 1, seed);
    seed = XXH3_64bits_withSeed(segment, strlen(segment) + 1, seed);
    const uint8_t end[4] = {(uint8_t)day, (uint8_t)((uint32_t)day >> 8),
                            (uint8_t)((uint32_t)day >> 16), (uint8_t)((uint32_t)day >> 24)};
    return XXH3_64bits_withSeed(end, sizeof end, seed);
}
