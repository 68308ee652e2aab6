/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A sound model that has one of everything, for tests that spoil or change a piece of it. */
#ifndef TESTS_MODEL_TEXT_H
#define TESTS_MODEL_TEXT_H

#include <stdlib.h>
#include <string.h>

static const char model_text[] =
    "{\n"
    "  \"model\": \"flightpath/1\",\n"
    "  \"programme\": { \"id\": \"bank\", \"name\": \"The Bank\", \"time_zone\": "
    "\"Europe/Amsterdam\",\n"
    "    \"currency\": \"EUR\", \"retention_days\": { \"responses\": 400, \"tallies\": 1000, "
    "\"rejects\": 30 } },\n"
    "  \"scales\": { \"ten\": { \"min\": 0, \"max\": 10 }, \"five\": { \"min\": 1, \"max\": 5, "
    "\"not_applicable\": [\"na\", 6] },\n"
    "    \"three\": { \"min\": 1, \"max\": 3 }, \"long\": { \"min\": 0, \"max\": 100 } },\n"
    "  \"measures\": { \"wait_s\": { \"unit\": \"s\", \"decimals\": 1, \"min\": 0, \"max\": 3600, "
    "\"direction\": \"lower\" },\n"
    "    \"cost\": { \"unit\": \"EUR\", \"decimals\": 2, \"min\": -5.25, \"max\": 300, "
    "\"direction\": \"lower\", \"role\": \"cost\" } },\n"
    "  \"owners\": [ { \"id\": \"ann\", \"name\": \"Ann\", \"department\": \"branches\" } ],\n"
    "  \"units\": [ { \"id\": \"north\", \"name\": \"North\" }, { \"id\": \"main_street\", "
    "\"parent\": \"north\" } ],\n"
    "  \"journeys\": [\n"
    "    { \"id\": \"open_account\", \"name\": \"I open an account\", \"audience\": \"customer\", "
    "\"level\": \"main\", \"detailed\": [\n"
    "      { \"id\": \"identify\", \"touchpoints\": [\"visit\", \"id_check\"] }, { \"id\": "
    "\"use\", \"touchpoints\": [\"login\"] } ] },\n"
    "    { \"id\": \"work\", \"audience\": \"employee\", \"detailed\": [ { \"id\": \"applying\", "
    "\"tenure\": \"applicant\" },\n"
    "      { \"id\": \"settling\", \"tenure\": { \"max_months\": 3 } }, { \"id\": \"year\", "
    "\"tenure\": { \"max_months\": 12 } },\n"
    "      { \"id\": \"staying\", \"tenure\": { \"min_months\": 12 } } ] } ],\n"
    "  \"touchpoints\": [ { \"id\": \"visit\", \"name\": \"Visit\", \"department\": \"branches\", "
    "\"owner\": \"ann\",\n"
    "      \"processes\": [\"welcome\"], \"systems\": [\"queue\", \"crm\"] }, { \"id\": "
    "\"id_check\" }, { \"id\": \"login\" }, { \"id\": \"lobby\" } ],\n"
    "  \"items\": [\n"
    "    { \"id\": \"recommend\", \"kind\": \"outcome\", \"metric\": \"nps\", \"scale\": \"ten\", "
    "\"text\": \"Recommend?\" },\n"
    "    { \"id\": \"satisfied\", \"kind\": \"outcome\", \"metric\": \"csat\", \"scale\": "
    "\"five\", \"touchpoint\": \"visit\" },\n"
    "    { \"id\": \"effort\", \"kind\": \"outcome\", \"metric\": \"ces\", \"scale\": \"five\", "
    "\"direction\": \"higher\" },\n"
    "    { \"id\": \"smile\", \"kind\": \"driver\", \"metric\": \"top_box\", \"scale\": \"three\" "
    "},\n"
    "    { \"id\": \"rating\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"long\" },\n"
    "    { \"id\": \"clarity\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"five\", "
    "\"touchpoint\": \"id_check\" },\n"
    "    { \"id\": \"keeps_word\", \"kind\": \"promise\", \"metric\": \"mean\", \"scale\": "
    "\"five\" },\n"
    "    { \"id\": \"engaged\", \"kind\": \"outcome\", \"metric\": \"mean\", \"scale\": \"five\" } "
    "],\n"
    "  \"kpis\": [\n"
    "    { \"id\": \"nps\", \"statement\": \"I tell a friend\", \"role\": \"output\", \"source\": "
    "{ \"item\": \"recommend\" }, \"journey\": \"open_account\", \"target\": 40 },\n"
    "    { \"id\": \"soon\", \"role\": \"input\", \"source\": { \"measure\": \"wait_s\", "
    "\"within\": 300.5 }, \"touchpoint\": \"visit\", \"target\": 0.9, \"good_enough\": 0.85, "
    "\"owner\": \"ann\" },\n"
    "    { \"id\": \"p90\", \"role\": \"input\", \"source\": { \"measure\": \"wait_s\", "
    "\"quantile\": 0.9 }, \"touchpoint\": \"visit\", \"target\": 420, \"grain\": \"day\" },\n"
    "    { \"id\": \"mean_wait\", \"role\": \"input\", \"source\": { \"measure\": \"wait_s\" }, "
    "\"target\": 100, \"good_enough\": 120 },\n"
    "    { \"id\": \"failed\", \"role\": \"input\", \"source\": { \"outcome\": \"failed\" }, "
    "\"touchpoint\": \"id_check\", \"target\": 0.02 },\n"
    "    { \"id\": \"engagement\", \"role\": \"output\", \"source\": { \"item\": \"engaged\" }, "
    "\"journey\": \"work\", \"target\": 4, \"owner\": \"ann\" },\n"
    "    { \"id\": \"happy_visit\", \"role\": \"output\", \"source\": { \"item\": \"satisfied\" }, "
    "\"touchpoint\": \"visit\", \"grain\": \"hour\", \"target\": 0.8 } ],\n"
    "  \"driver_models\": [\n"
    "    { \"id\": \"nps\", \"outcome\": \"recommend\", \"drivers\": [\"clarity\", "
    "\"keeps_word\"], \"journey\": \"open_account\", \"window_days\": 90, \"segments\": [\"all\", "
    "\"unit\"] },\n"
    "    { \"id\": \"operations\", \"outcome\": \"satisfied\", \"measures\": [\"wait_s\", "
    "\"cost\"], \"touchpoint\": \"visit\", \"join_window_hours\": 72 },\n"
    "    { \"id\": \"staff\", \"outcome\": \"engaged\", \"drivers\": [\"rating\"], \"journey\": "
    "\"work\", \"segments\": [\"all\", \"tenure\"] } ],\n"
    "  \"interventions\": [ { \"id\": \"desk\", \"text\": \"A second desk\", \"kpi\": \"soon\", "
    "\"units\": [\"main_street\"], \"owner\": \"ann\",\n"
    "      \"start\": \"2026-04-06\", \"due\": \"2026-05-01\", \"status\": \"running\", \"cost\": "
    "12000, \"expected_effect\": 0.05 } ],\n"
    "  \"promises\": [ { \"id\": \"word\", \"text\": \"We keep our word\", \"promise\": "
    "\"keeps_word\", \"delivery\": [\"clarity\", \"soon\"] } ],\n"
    "  \"alerts\": { \"false_episodes_per_year\": 4, \"calendar\": [ { \"from\": \"2026-04-27\", "
    "\"to\": \"2026-04-28\", \"text\": \"King's Day\" } ] },\n"
    "  \"privacy\": { \"min_n\": 8, \"min_n_employee\": 6 },\n"
    "  \"limits\": { \"units\": 50 }\n"
    "}\n";

/* The text with the first `from` made `to`; NULL when there is none. The caller frees. */
static inline char *model_text_with(const char *from, const char *to)
{
    const char *at = strstr(model_text, from);
    if (at == NULL)
        return NULL;
    char *text = calloc(1, sizeof model_text + strlen(to));
    size_t before = (size_t)(at - model_text);
    memcpy(text, model_text, before);
    strcpy(text + before, to);
    strcat(text, at + strlen(from));
    return text;
}

#endif
