/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A response in one comparable form, whether it comes from the log or from the database.
 *
 * The order of answers in a message does not matter, so both sides are sorted. Comments and
 * interactions are compared by a 128-bit hash: their text never reaches a temporary file. */
#include "daemon/verify_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/verify_sum.h"

void fp_hash_text(struct fp_slice text, uint64_t hash[2])
{
    hash[0] = hash[1] = 0;
    if (text.at == NULL)
        return;
    XXH128_hash_t h = XXH3_128bits_withSeed(text.at, text.len, 1);
    hash[0] = h.low64;
    hash[1] = h.high64 | 1; /* never both zero */
}

static struct fp_row_key key_of(int32_t source, struct fp_slice id)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(id.at, id.len, (XXH64_hash_t)source);
    return (struct fp_row_key){{h.low64, h.high64}};
}

/* ---- sorted arrays --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts pairs (keys[i], values[i]); arrays are short. */
static void sort_pairs(int16_t *keys, int16_t *scores, int64_t *amounts, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = i; k > 0 && keys[k - 1] > keys[k]; k--) {
            int16_t key = keys[k];
            keys[k] = keys[k - 1];
            keys[k - 1] = key;
            if (scores) {
                int16_t score = scores[k];
                scores[k] = scores[k - 1];
                scores[k - 1] = score;
            } else {
                int64_t amount = amounts[k];
                amounts[k] = amounts[k - 1];
                amounts[k - 1] = amount;
            }
        }
}

static void settle(struct fp_verify_row *row, struct fp_row_scratch *s)
{
    sort_pairs(s->items, s->scores, NULL, row->score_count);
    sort_pairs(s->measures, NULL, s->amounts, row->measure_count);
    if (row->tallied_count > 1)
        qsort(s->tallied, row->tallied_count, sizeof *s->tallied, by_value);
    row->id = s->id;
    row->tallied = s->tallied;
    row->fitted = s->fitted;
    row->amounts = s->amounts;
    row->items = s->items;
    row->scores = s->scores;
    row->measures = s->measures;
}

static void set_id(struct fp_verify_row *row, struct fp_row_scratch *s, struct fp_slice id)
{
    row->id_len = id.len < sizeof s->id - 1 ? id.len : (uint32_t)sizeof s->id - 1;
    if (row->id_len)
        memcpy(s->id, id.at, row->id_len);
    s->id[row->id_len] = '\0';
    row->key = key_of(row->source, id);
}

/* ---- from the log ---------------------------------------------------------------------------- */

#define KIND (INT64_C(1) << 61)

static int64_t contribution(const struct fp_row_ids *ids, const struct fp_contribution *c)
{
    bool hour = ids->model->kpis[c->kpi].grain == FP_GRAIN_HOUR;
    int64_t series = ids->series[c->kpi], small = c->bin + 1, kind = 0;
    if (c->adds == FP_ADDS_NUMERATOR) {
        kind = 1;
    } else if (c->adds == FP_ADDS_PAIR) {
        kind = 2;
        small = c->per;
    }
    return kind * KIND + (series * 2 + hour) * (1 << 24) + small * (1 << 16) + (uint16_t)c->y;
}

struct fp_contributed fp_contributed_of(int64_t tallied)
{
    int64_t kind = tallied / KIND, small = tallied / (1 << 16) % 256;
    return (struct fp_contributed){.series = (int32_t)(tallied % KIND / (1 << 25)),
                                   .hour = tallied / (1 << 24) % 2 != 0,
                                   .at = kind == 1   ? FP_SUM_NUMERATOR
                                         : kind == 2 ? FP_SUM_PAIR
                                                     : (int32_t)small - 1,
                                   .y = (int16_t)(uint16_t)(tallied % (1 << 16)),
                                   .per = kind == 2 ? small : 0};
}

static void set_answers(struct fp_verify_row *row, struct fp_row_scratch *s,
                        const struct fp_fact *fact, const struct fp_row_ids *ids)
{
    row->score_count = (uint32_t)fact->score_count;
    row->measure_count = (uint32_t)fact->measure_count;
    row->tallied_count = (uint32_t)fact->contribution_count;
    for (int i = 0; i < fact->score_count; i++) {
        s->items[i] = ids->items[fact->items[i]];
        s->scores[i] = fact->scores[i];
    }
    for (int i = 0; i < fact->measure_count; i++) {
        s->measures[i] = ids->measures[fact->measures[i]];
        s->amounts[i] = fact->amounts[i];
    }
    for (int i = 0; i < fact->contribution_count; i++)
        s->tallied[i] = contribution(ids, &fact->contributions[i]);
}

void fp_row_of_fact(struct fp_verify_row *row, struct fp_row_scratch *scratch,
                    const struct fp_fact *fact, const struct fp_row_ids *ids)
{
    const struct fp_event *e = fact->event;
    *row = (struct fp_verify_row){.has_submitted_at = e->has_submitted_at,
                                  .has_subject = e->subject.at != NULL,
                                  .time_us = fact->time_us,
                                  .source = ids->source,
                                  .revision = e->revision,
                                  .status = (int32_t)e->status,
                                  .audience = (int32_t)e->audience,
                                  .survey = ids->survey,
                                  .journey = ids->journey,
                                  .touchpoint = ids->touchpoint,
                                  .unit = ids->unit,
                                  .channel = ids->channel,
                                  .tenure = e->tenure_months,
                                  .weight = e->weight,
                                  .day = fact->day};
    set_id(row, scratch, e->id);
    fp_hash_text(e->subject, row->subject);
    fp_hash_text(e->interaction, row->interaction);
    row->has_interaction = e->interaction.len > 0;
    if (row->has_interaction) {
        XXH128_hash_t h = XXH3_128bits(e->interaction.at, e->interaction.len);
        row->joined_by[0] = h.low64;
        row->joined_by[1] = h.high64;
    }
    if (e->status != FP_RESPONSE_VOID) { /* a void keeps none of what was answered */
        fp_hash_text(e->comment, row->comment);
        set_answers(row, scratch, fact, ids);
    }
    settle(row, scratch);
}

/* ---- from the database ----------------------------------------------------------------------- */

const char fp_row_sql[] =
    "SELECT source, id, (extract(epoch FROM submitted_at) * 1000000)::bigint, revision, status,"
    " audience, survey, journey, touchpoint, unit, channel, tenure, weight, day,"
    " encode(subject, 'hex'), interaction, array_to_string(items, ','),"
    " array_to_string(scores, ','), array_to_string(measures, ','), array_to_string(amounts, ','),"
    " array_to_string(tallied, ','), comment, array_to_string(fitted, ',')"
    " FROM flightpath.response";

static uint32_t read_numbers(const char *text, int64_t *wide, int16_t *narrow)
{
    uint32_t count = 0;
    while (*text) {
        char *end;
        int64_t value = strtoll(text, &end, 10);
        if (count < FP_ROW_ITEMS_MAX && wide)
            wide[count] = value;
        if (count < FP_ROW_ITEMS_MAX && narrow)
            narrow[count] = (int16_t)value;
        count++;
        if (end == text)
            break; /* a NULL in the array: not ours, and counted */
        text = *end == ',' ? end + 1 : end;
    }
    return count < FP_ROW_ITEMS_MAX ? count : FP_ROW_ITEMS_MAX;
}

static struct fp_slice text_of(const struct fp_pg_result *result, int at, int column)
{
    if (fp_pg_is_null(result, at, column))
        return (struct fp_slice){0};
    return fp_slice_of(fp_pg_text(result, at, column));
}

static void read_pseudonym(struct fp_verify_row *row, struct fp_slice hex)
{
    row->has_subject = hex.at != NULL;
    row->has_pseudonym = hex.len == 2 * FP_PSEUDONYM_LEN;
    for (int i = 0; row->has_pseudonym && i < FP_PSEUDONYM_LEN; i++) {
        char pair[3] = {hex.at[2 * i], hex.at[2 * i + 1], '\0'};
        row->pseudonym[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

/* Two arrays that belong together have one length, or the row is odd: the longer one tells. */
static uint32_t longer(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void fp_row_of_result(struct fp_verify_row *row, struct fp_row_scratch *scratch,
                      const struct fp_pg_result *result, int at)
{
    *row = (struct fp_verify_row){.stored = true, .time_us = fp_pg_int(result, at, 2)};
    int32_t *const numbers[] = {&row->revision, &row->status,     &row->audience, &row->survey,
                                &row->journey,  &row->touchpoint, &row->unit,     &row->channel,
                                &row->tenure,   &row->weight,     &row->day};
    row->source = (int32_t)fp_pg_int(result, at, 0);
    for (int i = 0; i < 11; i++)
        *numbers[i] = (int32_t)fp_pg_int(result, at, 3 + i);
    set_id(row, scratch, fp_slice_of(fp_pg_text(result, at, 1)));
    read_pseudonym(row, text_of(result, at, 14));
    fp_hash_text(text_of(result, at, 15), row->interaction);
    memset(scratch->items, 0, sizeof scratch->items);
    memset(scratch->scores, 0, sizeof scratch->scores);
    memset(scratch->measures, 0, sizeof scratch->measures);
    memset(scratch->amounts, 0, sizeof scratch->amounts);
    row->score_count = longer(read_numbers(fp_pg_text(result, at, 16), NULL, scratch->items),
                              read_numbers(fp_pg_text(result, at, 17), NULL, scratch->scores));
    row->measure_count = longer(read_numbers(fp_pg_text(result, at, 18), NULL, scratch->measures),
                                read_numbers(fp_pg_text(result, at, 19), scratch->amounts, NULL));
    row->tallied_count = read_numbers(fp_pg_text(result, at, 20), scratch->tallied, NULL);
    fp_hash_text(text_of(result, at, 21), row->comment);
    row->fitted_count = read_numbers(fp_pg_text(result, at, 22), scratch->fitted, NULL);
    settle(row, scratch);
}

/* ---- away and back --------------------------------------------------------------------------- */

static void append(uint8_t **to, const void *from, size_t len)
{
    if (len)
        memcpy(*to, from, len);
    *to += len;
}

enum fp_status fp_row_put(struct fp_spill *spill, struct fp_verify_row *row,
                          struct fp_row_scratch *scratch, struct fp_error *err)
{
    uint8_t *bytes = (uint8_t *)scratch->packed, *to = bytes + sizeof *row;
    append(&to, row->tallied, row->tallied_count * sizeof *row->tallied);
    append(&to, row->fitted, row->fitted_count * sizeof *row->fitted);
    append(&to, row->amounts, row->measure_count * sizeof *row->amounts);
    append(&to, row->items, row->score_count * sizeof *row->items);
    append(&to, row->scores, row->score_count * sizeof *row->scores);
    append(&to, row->measures, row->measure_count * sizeof *row->measures);
    append(&to, row->id, row->id_len + 1u);
    while ((to - bytes) % 8)
        *to++ = 0;
    row->size = (uint32_t)(to - bytes);
    memcpy(bytes, row, sizeof *row);
    return fp_spill_put(spill, row->key.part[0], bytes, row->size, err);
}

struct fp_verify_row *fp_row_at(uint8_t *bytes)
{
    struct fp_verify_row *row = (struct fp_verify_row *)(void *)bytes;
    row->tallied = (const int64_t *)(const void *)(row + 1);
    row->fitted = row->tallied + row->tallied_count;
    row->amounts = row->fitted + row->fitted_count;
    row->items = (const int16_t *)(const void *)(row->amounts + row->measure_count);
    row->scores = row->items + row->score_count;
    row->measures = row->scores + row->score_count;
    row->id = (const char *)(row->measures + row->measure_count);
    return row;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void tell(char texts[2][200], int64_t log, int64_t stored)
{
    snprintf(texts[0], sizeof texts[0], "%" PRId64, log);
    snprintf(texts[1], sizeof texts[1], "%" PRId64, stored);
}

static void list(char *text, size_t size, const int64_t *wide, const int16_t *narrow,
                 uint32_t count)
{
    size_t used = (size_t)snprintf(text, size, "{");
    for (uint32_t i = 0; i < count && used + 24 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? "," : "",
                                 wide ? wide[i] : narrow[i]);
    snprintf(text + used, size - used, "}");
}

struct array { /* a column that is a list */
    const char *name;
    const int64_t *wide;
    const int16_t *narrow;
    uint32_t count;
};

#define ARRAYS 5
static void arrays_of(const struct fp_verify_row *row, struct array arrays[ARRAYS])
{
    arrays[0] = (struct array){"items", NULL, row->items, row->score_count};
    arrays[1] = (struct array){"scores", NULL, row->scores, row->score_count};
    arrays[2] = (struct array){"measures", NULL, row->measures, row->measure_count};
    arrays[3] = (struct array){"amounts", row->amounts, NULL, row->measure_count};
    arrays[4] = (struct array){"tallied", row->tallied, NULL, row->tallied_count};
}

static const char *arrays_differ(const struct fp_verify_row *a, const struct fp_verify_row *b,
                                 char texts[2][200])
{
    struct array x[ARRAYS], y[ARRAYS];
    arrays_of(a, x);
    arrays_of(b, y);
    for (int i = 0; i < ARRAYS; i++) {
        size_t size = x[i].wide ? sizeof *x[i].wide : sizeof *x[i].narrow;
        const void *from = x[i].wide ? (const void *)x[i].wide : x[i].narrow;
        const void *with = y[i].wide ? (const void *)y[i].wide : y[i].narrow;
        if (x[i].count == y[i].count && (x[i].count == 0 || !memcmp(from, with, x[i].count * size)))
            continue;
        list(texts[0], sizeof texts[0], x[i].wide, x[i].narrow, x[i].count);
        list(texts[1], sizeof texts[1], y[i].wide, y[i].narrow, y[i].count);
        return x[i].name;
    }
    return NULL;
}

static const char *numbers_differ(const struct fp_verify_row *a, const struct fp_verify_row *b,
                                  char texts[2][200])
{
    const struct {
        const char *name;
        int32_t log, stored;
    } columns[] = {{"revision", a->revision, b->revision},
                   {"status", a->status, b->status},
                   {"audience", a->audience, b->audience},
                   {"survey", a->survey, b->survey},
                   {"journey", a->journey, b->journey},
                   {"touchpoint", a->touchpoint, b->touchpoint},
                   {"unit", a->unit, b->unit},
                   {"channel", a->channel, b->channel},
                   {"tenure", a->tenure, b->tenure},
                   {"weight", a->weight, b->weight}};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (columns[i].log != columns[i].stored) {
            tell(texts, columns[i].log, columns[i].stored);
            return columns[i].name;
        }
    return NULL;
}

static const char *texts_differ(const struct fp_verify_row *a, const struct fp_verify_row *b,
                                char texts[2][200])
{
    bool interaction = memcmp(a->interaction, b->interaction, sizeof a->interaction) == 0;
    if (interaction && memcmp(a->comment, b->comment, sizeof a->comment) == 0)
        return NULL;
    const uint64_t *x = interaction ? a->comment : a->interaction;
    const uint64_t *y = interaction ? b->comment : b->interaction;
    snprintf(texts[0], sizeof texts[0], "%s", x[1] ? "a text" : "none");
    snprintf(texts[1], sizeof texts[1], "%s", !y[1] ? "none" : x[1] ? "another text" : "a text");
    return interaction ? "comment" : "interaction";
}

/* Without the daemon's key a missing pseudonym says nothing: it may have had no key either. */
static const char *subject_differs(const struct fp_verify_row *log,
                                   const struct fp_verify_row *stored, char texts[2][200])
{
    bool same = log->has_pseudonym
                    ? stored->has_pseudonym &&
                          memcmp(log->pseudonym, stored->pseudonym, FP_PSEUDONYM_LEN) == 0
                    : log->has_subject || !stored->has_subject;
    if (same)
        return NULL;
    snprintf(texts[0], sizeof texts[0], "%s", log->has_subject ? "a subject" : "none");
    snprintf(texts[1], sizeof texts[1], "%s",
             stored->has_subject ? log->has_subject ? "another pseudonym" : "a pseudonym" : "none");
    return "subject";
}

const char *fp_row_differs(const struct fp_verify_row *log, struct fp_row_when when,
                           const struct fp_verify_row *stored, char texts[2][200])
{
    const char *column = NULL;
    if (when.time_us != stored->time_us) {
        tell(texts, when.time_us, stored->time_us);
        return "submitted_at";
    }
    if ((column = numbers_differ(log, stored, texts)) != NULL)
        return column;
    if (when.day != stored->day) {
        tell(texts, when.day, stored->day);
        return "day";
    }
    if ((column = arrays_differ(log, stored, texts)) != NULL)
        return column;
    if ((column = texts_differ(log, stored, texts)) != NULL)
        return column;
    return subject_differs(log, stored, texts);
}

bool fp_row_same_content(const struct fp_verify_row *a, const struct fp_verify_row *b)
{
    char texts[2][200];
    return numbers_differ(a, b, texts) == NULL && arrays_differ(a, b, texts) == NULL &&
           texts_differ(a, b, texts) == NULL &&
           memcmp(a->subject, b->subject, sizeof a->subject) == 0;
}
