/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shape of a model: one table row per key, and one walk that checks a document against them.
 *
 * Here: unknown and missing keys, types, ranges, choices, syntax of ids and dates. What needs more
 * than one value to judge (references, sense) is left to the steps that read the contents; those
 * take whatever is malformed for absent, so that no fault is reported twice.
 * A key that begins with "x_" is the user's own and is not looked at. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model_build.h"

enum want {
    WANT_TEXT,
    WANT_ID,     /* text with the syntax of an id */
    WANT_CHOICE, /* text, one of `choices` */
    WANT_DATE,   /* text, YYYY-MM-DD */
    WANT_NUMBER,
    WANT_INTEGER,
    WANT_BOOL,
    WANT_OBJECT,  /* of `shape` */
    WANT_LIST,    /* array of objects of `shape` */
    WANT_MAP,     /* object: ids → objects of `shape` */
    WANT_TEXTS,   /* array of texts */
    WANT_CHOICES, /* array of texts, each one of `choices` */
    WANT_CODES,   /* array of "na" or integers */
    WANT_TENURE,  /* "applicant" or an object of `shape` */
    WANT_SURVEY   /* true or a survey's name */
};

struct shape;
struct key {
    const char *name;
    enum want want;
    bool required;
    double min, max;     /* of numbers; both 0: any */
    const char *choices; /* "a|b|c" */
    const struct shape *shape;
};
struct shape {
    const struct key *keys;
    int count;
};
#define SHAPE(table) (&(const struct shape){table, (int)(sizeof(table) / sizeof *(table))})

#define DAYS_MAX 36500
#define NUMBER_MAX 1e15
static const char directions[] = "higher|lower";

/* ---- the tables ------------------------------------------------------------------------------ */

static const struct key retention[] = {
    {"responses", WANT_INTEGER, false, 1, DAYS_MAX, NULL, NULL},
    {"tallies", WANT_INTEGER, false, 1, DAYS_MAX, NULL, NULL},
    {"rejects", WANT_INTEGER, false, 1, DAYS_MAX, NULL, NULL},
};
static const struct key programme[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"name", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"time_zone", WANT_TEXT, true, 0, 0, NULL, NULL},
    {"currency", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"retention_days", WANT_OBJECT, false, 0, 0, NULL, SHAPE(retention)},
};
static const struct key scale[] = {
    {"min", WANT_INTEGER, true, -10000, 10000, NULL, NULL},
    {"max", WANT_INTEGER, true, -10000, 10000, NULL, NULL},
    {"not_applicable", WANT_CODES, false, -32000, 32000, NULL, NULL},
};
static const struct key measure[] = {
    {"unit", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"decimals", WANT_INTEGER, false, 0, 9, NULL, NULL},
    {"min", WANT_NUMBER, true, -NUMBER_MAX, NUMBER_MAX, NULL, NULL},
    {"max", WANT_NUMBER, true, -NUMBER_MAX, NUMBER_MAX, NULL, NULL},
    {"direction", WANT_CHOICE, false, 0, 0, directions, NULL},
    {"role", WANT_CHOICE, false, 0, 0, "cost", NULL},
};
static const struct key owner[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"name", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"department", WANT_TEXT, false, 0, 0, NULL, NULL},
};
static const struct key unit[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"name", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"parent", WANT_TEXT, false, 0, 0, NULL, NULL},
};
static const struct key tenure[] = {
    {"max_months", WANT_INTEGER, false, 0, 1200, NULL, NULL},
    {"min_months", WANT_INTEGER, false, 0, 1200, NULL, NULL},
};
static const struct key detailed[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"name", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"level", WANT_CHOICE, false, 0, 0, "detailed", NULL},
    {"touchpoints", WANT_TEXTS, false, 0, 0, NULL, NULL},
    {"tenure", WANT_TENURE, false, 0, 0, NULL, SHAPE(tenure)},
};
static const struct key journey[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"name", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"audience", WANT_CHOICE, false, 0, 0, "customer|employee", NULL},
    {"level", WANT_CHOICE, false, 0, 0, "main", NULL},
    {"detailed", WANT_LIST, false, 0, 0, NULL, SHAPE(detailed)},
};
static const struct key touchpoint[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"name", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"department", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"owner", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"processes", WANT_TEXTS, false, 0, 0, NULL, NULL},
    {"systems", WANT_TEXTS, false, 0, 0, NULL, NULL},
};
static const struct key item[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"text", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"kind", WANT_CHOICE, true, 0, 0, "outcome|driver|promise", NULL},
    {"metric", WANT_CHOICE, true, 0, 0, "nps|csat|ces|mean|top_box", NULL},
    {"scale", WANT_TEXT, true, 0, 0, NULL, NULL},
    {"top", WANT_INTEGER, false, 1, 10, NULL, NULL},
    {"touchpoint", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"direction", WANT_CHOICE, false, 0, 0, directions, NULL},
};
static const struct key source[] = {
    {"item", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"measure", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"within", WANT_NUMBER, false, -NUMBER_MAX, NUMBER_MAX, NULL, NULL},
    {"quantile", WANT_NUMBER, false, 0, 0, NULL, NULL},
    {"outcome", WANT_CHOICE, false, 0, 0, "completed|failed|abandoned|recovered", NULL},
    {"items", WANT_TEXTS, false, 0, 0, NULL, NULL},
    {"per", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"response_rate", WANT_SURVEY, false, 0, 0, NULL, NULL},
    {"straight_lining", WANT_BOOL, false, 0, 0, NULL, NULL},
};
static const struct key benchmark[] = {
    {"value", WANT_NUMBER, true, 0, 0, NULL, NULL},
    {"sd", WANT_NUMBER, false, 0, NUMBER_MAX, NULL, NULL},
    {"n", WANT_NUMBER, false, 1, NUMBER_MAX, NULL, NULL},
    {"source", WANT_TEXT, true, 0, 0, NULL, NULL},
    {"from", WANT_DATE, false, 0, 0, NULL, NULL},
    {"until", WANT_DATE, false, 0, 0, NULL, NULL},
};
static const struct key kpi[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"statement", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"role", WANT_CHOICE, false, 0, 0, "input|output", NULL},
    {"source", WANT_OBJECT, true, 0, 0, NULL, SHAPE(source)},
    {"audience", WANT_CHOICE, false, 0, 0, "customer|employee|internal", NULL},
    {"journey", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"touchpoint", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"target", WANT_NUMBER, false, 0, 0, NULL, NULL},
    {"good_enough", WANT_NUMBER, false, 0, 0, NULL, NULL},
    {"direction", WANT_CHOICE, false, 0, 0, directions, NULL},
    {"grain", WANT_CHOICE, false, 0, 0, "hour|day", NULL},
    {"owner", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"benchmark", WANT_OBJECT, false, 0, 0, NULL, SHAPE(benchmark)},
};
static const struct key driver_model[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"outcome", WANT_TEXT, true, 0, 0, NULL, NULL},
    {"drivers", WANT_TEXTS, false, 0, 0, NULL, NULL},
    {"measures", WANT_TEXTS, false, 0, 0, NULL, NULL},
    {"journey", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"touchpoint", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"window_days", WANT_INTEGER, false, 1, DAYS_MAX, NULL, NULL},
    {"join_window_hours", WANT_INTEGER, false, 1, 2160, NULL, NULL},
    {"segments", WANT_CHOICES, false, 0, 0, "all|journey|touchpoint|unit|tenure", NULL},
    {"panel", WANT_BOOL, false, 0, 0, NULL, NULL},
};
static const struct key intervention[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"text", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"kpi", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"driver", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"units", WANT_TEXTS, false, 0, 0, NULL, NULL},
    {"owner", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"start", WANT_DATE, false, 0, 0, NULL, NULL},
    {"due", WANT_DATE, false, 0, 0, NULL, NULL},
    {"status", WANT_CHOICE, false, 0, 0, "planned|running|ended|cancelled", NULL},
    {"cost", WANT_NUMBER, false, 0, NUMBER_MAX, NULL, NULL},
    {"expected_effect", WANT_NUMBER, false, 0, 0, NULL, NULL},
};
static const struct key promise[] = {
    {"id", WANT_ID, true, 0, 0, NULL, NULL},
    {"text", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"promise", WANT_TEXT, true, 0, 0, NULL, NULL},
    {"delivery", WANT_TEXTS, true, 0, 0, NULL, NULL},
};
static const struct key calendar[] = {
    {"from", WANT_DATE, true, 0, 0, NULL, NULL},
    {"to", WANT_DATE, true, 0, 0, NULL, NULL},
    {"text", WANT_TEXT, false, 0, 0, NULL, NULL},
};
static const struct key alerts[] = {
    {"false_episodes_per_year", WANT_NUMBER, false, 0.01, 366, NULL, NULL},
    {"calendar", WANT_LIST, false, 0, 0, NULL, SHAPE(calendar)},
};
static const struct key privacy[] = {
    {"min_n", WANT_INTEGER, false, 1, 10000, NULL, NULL},
    {"min_n_employee", WANT_INTEGER, false, 3, 10000, NULL, NULL},
};
static const struct key limits[] = {
    {"units", WANT_INTEGER, false, 1, 1000000, NULL, NULL},
    {"channels", WANT_INTEGER, false, 1, 10000, NULL, NULL},
    {"touchpoints", WANT_INTEGER, false, 1, 100000, NULL, NULL},
    {"sources", WANT_INTEGER, false, 1, 100000, NULL, NULL},
    {"future_skew_s", WANT_INTEGER, false, 0, 86400, NULL, NULL},
};
static const struct key root[] = {
    {"$schema", WANT_TEXT, false, 0, 0, NULL, NULL},
    {"model", WANT_CHOICE, true, 0, 0, "flightpath/1", NULL},
    {"programme", WANT_OBJECT, true, 0, 0, NULL, SHAPE(programme)},
    {"scales", WANT_MAP, false, 0, 0, NULL, SHAPE(scale)},
    {"measures", WANT_MAP, false, 0, 0, NULL, SHAPE(measure)},
    {"owners", WANT_LIST, false, 0, 0, NULL, SHAPE(owner)},
    {"units", WANT_LIST, false, 0, 0, NULL, SHAPE(unit)},
    {"journeys", WANT_LIST, false, 0, 0, NULL, SHAPE(journey)},
    {"touchpoints", WANT_LIST, false, 0, 0, NULL, SHAPE(touchpoint)},
    {"items", WANT_LIST, false, 0, 0, NULL, SHAPE(item)},
    {"kpis", WANT_LIST, false, 0, 0, NULL, SHAPE(kpi)},
    {"driver_models", WANT_LIST, false, 0, 0, NULL, SHAPE(driver_model)},
    {"interventions", WANT_LIST, false, 0, 0, NULL, SHAPE(intervention)},
    {"promises", WANT_LIST, false, 0, 0, NULL, SHAPE(promise)},
    {"alerts", WANT_OBJECT, false, 0, 0, NULL, SHAPE(alerts)},
    {"privacy", WANT_OBJECT, false, 0, 0, NULL, SHAPE(privacy)},
    {"limits", WANT_OBJECT, false, 0, 0, NULL, SHAPE(limits)},
};

/* ---- texts ----------------------------------------------------------------------------------- */

bool fp_date_valid(const char *text)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-')
        return false;
    for (int i = 0; i < 10; i++) {
        if (i != 4 && i != 7 && !isdigit((unsigned char)text[i]))
            return false;
    }
    int year = atoi(text), month = atoi(text + 5), day = atoi(text + 8);
    if (year < 1970 || year > 2100 || month < 1 || month > 12)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

static void check_id(struct fp_build *build, const struct fp_node *node, const char *id)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char more[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(id);
    if (len == 0 || len > 63 || strchr(letters, id[0]) == NULL || strspn(id, more) != len)
        fp_problem_at(build, node, NULL,
                      "use 1 to 63 of A-Z a-z 0-9 . _ - and begin with a letter or a digit",
                      "\"%.80s\" is not an id", id);
}

/* `choices` is a table entry: short. `hint` is filled if the text is none of them. */
static bool is_choice(const char *text, const char *choices, char *hint, size_t size)
{
    char list[128];
    char *rest = NULL;
    struct fp_nearest best = {.wanted = text};
    snprintf(list, sizeof list, "%s", choices);
    for (char *at = strtok_r(list, "|", &rest); at; at = strtok_r(NULL, "|", &rest)) {
        if (strcmp(at, text) == 0)
            return true;
        fp_nearest_offer(&best, at);
    }
    if (best.name)
        snprintf(hint, size, "did you mean \"%s\"?", best.name);
    else
        snprintf(hint, size, "use one of: %s", choices);
    for (char *at = hint; best.name == NULL && *at; at++)
        *at = *at == '|' ? '/' : *at;
    return false;
}

static void check_choice(struct fp_build *build, const struct fp_node *node, const char *choices)
{
    char hint[160];
    if (!is_choice(node->text, choices, hint, sizeof hint))
        fp_problem_at(build, node, NULL, hint, "\"%.80s\" is not known here", node->text);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static const char *want_name(enum want want)
{
    static const char *const names[] = {[WANT_TEXT] = "a string",
                                        [WANT_ID] = "a string",
                                        [WANT_CHOICE] = "a string",
                                        [WANT_DATE] = "a string",
                                        [WANT_NUMBER] = "a number",
                                        [WANT_INTEGER] = "a whole number",
                                        [WANT_BOOL] = "true or false",
                                        [WANT_OBJECT] = "an object",
                                        [WANT_LIST] = "an array of objects",
                                        [WANT_MAP] = "an object",
                                        [WANT_TEXTS] = "an array of strings",
                                        [WANT_CHOICES] = "an array of strings",
                                        [WANT_CODES] = "an array of \"na\" and whole numbers",
                                        [WANT_TENURE] = "\"applicant\" or an object",
                                        [WANT_SURVEY] = "true or the name of a survey"};
    return names[want];
}

static void wrong_type(struct fp_build *build, const struct fp_node *node, enum want want)
{
    static const char *const found[] = {"null",     "a boolean", "a number",
                                        "a string", "an array",  "an object"};
    const char *hint = "";
    if (node->type == FP_NODE_NULL)
        hint = "leave the key out when there is no value";
    else if (node->type == FP_NODE_STRING && (want == WANT_NUMBER || want == WANT_INTEGER))
        hint = "write the number without quotes";
    fp_problem_at(build, node, NULL, hint, "must be %s, not %s", want_name(want),
                  found[node->type]);
}

static void check_number(struct fp_build *build, const struct fp_node *node, const struct key *key)
{
    char low[FP_NUMBER_TEXT], high[FP_NUMBER_TEXT], text[FP_NUMBER_TEXT];
    if (key->want == WANT_INTEGER && node->number != floor(node->number)) {
        fp_problem_at(build, node, NULL, "", "must be a whole number");
    } else if ((key->min != 0 || key->max != 0) &&
               (node->number < key->min || node->number > key->max)) {
        fp_number_text(key->min, low);
        fp_number_text(key->max, high);
        fp_number_text(node->number, text);
        fp_problem_at(build, node, NULL, "", "%s is outside %s to %s", text, low, high);
    }
}

static void check_name(struct fp_build *build, const struct fp_node *node)
{
    if (node->text[0] == '\0' || strpbrk(node->text, "\t\r\n\037"))
        fp_problem_at(build, node, NULL, "", "must be a name on one line, not empty");
}

static void check_elements(struct fp_build *build, const struct fp_node *list,
                           const struct key *key)
{
    for (const struct fp_node *at = list->child; at; at = at->next) {
        if (key->want == WANT_CODES && at->type == FP_NODE_NUMBER)
            check_number(build, at,
                         &(struct key){.want = WANT_INTEGER, .min = key->min, .max = key->max});
        else if (at->type != FP_NODE_STRING)
            wrong_type(build, at, WANT_TEXT);
        else if (key->want == WANT_CODES)
            check_choice(build, at, "na");
        else if (key->want == WANT_CHOICES)
            check_choice(build, at, key->choices);
        else
            check_name(build, at);
    }
}

static void check_object(struct fp_build *build, const struct fp_node *node,
                         const struct shape *shape);

static void check_members(struct fp_build *build, const struct fp_node *node, const struct key *key)
{
    for (const struct fp_node *at = node->child; at; at = at->next) {
        if (key->want == WANT_MAP)
            check_id(build, at, at->key);
        if (at->type == FP_NODE_OBJECT)
            check_object(build, at, key->shape);
        else
            wrong_type(build, at, WANT_OBJECT);
    }
}

static void check_text(struct fp_build *build, const struct fp_node *node, const struct key *key)
{
    if (key->want == WANT_ID)
        check_id(build, node, node->text);
    else if (key->want == WANT_CHOICE)
        check_choice(build, node, key->choices);
    else if (key->want == WANT_TENURE)
        check_choice(build, node, "applicant");
    else if (key->want == WANT_SURVEY)
        check_name(build, node);
    else if (key->want == WANT_DATE && !fp_date_valid(node->text))
        fp_problem_at(build, node, NULL, "write YYYY-MM-DD, from 1970 to 2100",
                      "\"%.40s\" is not a date", node->text);
}

static void check_value(struct fp_build *build, const struct fp_node *node, const struct key *key)
{
    static const enum fp_node_type types[] = {
        [WANT_TEXT] = FP_NODE_STRING,   [WANT_ID] = FP_NODE_STRING,
        [WANT_CHOICE] = FP_NODE_STRING, [WANT_DATE] = FP_NODE_STRING,
        [WANT_NUMBER] = FP_NODE_NUMBER, [WANT_INTEGER] = FP_NODE_NUMBER,
        [WANT_BOOL] = FP_NODE_BOOL,     [WANT_OBJECT] = FP_NODE_OBJECT,
        [WANT_LIST] = FP_NODE_ARRAY,    [WANT_MAP] = FP_NODE_OBJECT,
        [WANT_TEXTS] = FP_NODE_ARRAY,   [WANT_CHOICES] = FP_NODE_ARRAY,
        [WANT_CODES] = FP_NODE_ARRAY,   [WANT_TENURE] = FP_NODE_OBJECT,
        [WANT_SURVEY] = FP_NODE_BOOL};
    bool or_text =
        (key->want == WANT_TENURE || key->want == WANT_SURVEY) && node->type == FP_NODE_STRING;
    if (node->type != types[key->want] && !or_text)
        wrong_type(build, node, key->want);
    else if (node->type == FP_NODE_STRING)
        check_text(build, node, key);
    else if (node->type == FP_NODE_NUMBER)
        check_number(build, node, key);
    else if (key->want == WANT_LIST || key->want == WANT_MAP)
        check_members(build, node, key);
    else if (node->type == FP_NODE_ARRAY)
        check_elements(build, node, key);
    else if (node->type == FP_NODE_OBJECT)
        check_object(build, node, key->shape);
}

static const struct key *find_key(const struct shape *shape, const char *name)
{
    for (int i = 0; i < shape->count; i++) {
        if (strcmp(shape->keys[i].name, name) == 0)
            return &shape->keys[i];
    }
    return NULL;
}

static void unknown_key(struct fp_build *build, const struct fp_node *node,
                        const struct shape *shape)
{
    char hint[200];
    struct fp_nearest nearest = {.wanted = node->key};
    for (int i = 0; i < shape->count; i++)
        fp_nearest_offer(&nearest, shape->keys[i].name);
    if (nearest.name)
        snprintf(hint, sizeof hint, "did you mean \"%s\"?", nearest.name);
    else
        snprintf(hint, sizeof hint, "remove it, or begin it with \"x_\" when it is your own");
    fp_problem_at(build, node, NULL, hint, "unknown key \"%.80s\"", node->key);
}

static void check_object(struct fp_build *build, const struct fp_node *node,
                         const struct shape *shape)
{
    for (const struct fp_node *at = node->child; at; at = at->next) {
        const struct key *key = find_key(shape, at->key);
        if (key)
            check_value(build, at, key);
        else if (strncmp(at->key, "x_", 2) != 0)
            unknown_key(build, at, shape);
    }
    for (int i = 0; i < shape->count; i++) {
        const struct key *key = &shape->keys[i];
        if (key->required && fp_node_get(node, key->name) == NULL)
            fp_problem_at(build, node, key->name, "add it", "the key \"%s\" is missing", key->name);
    }
}

void fp_model_check_shape(struct fp_build *build)
{
    if (build->root->type == FP_NODE_OBJECT)
        check_object(build, build->root, SHAPE(root));
    else
        wrong_type(build, build->root, WANT_OBJECT);
}
