/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The floor that fp_decode is measured against: simdjson On-Demand reading the same fields and
 * checking nothing else (what is skipped and what follows is not validated, numbers are doubles).
 * Compiled apart, so that it is the library's own code at its own best. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstdint>

namespace {

namespace ondemand = simdjson::ondemand;

uint64_t text_length(simdjson::simdjson_result<ondemand::value> value) noexcept
{
    std::string_view text;
    return value.get_string().get(text) == simdjson::SUCCESS ? text.size() : 0;
}

uint64_t sum_object(simdjson::simdjson_result<ondemand::value> value) noexcept
{
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS)
        return 0;
    uint64_t sum = 0;
    for (auto field : object) {
        std::string_view key;
        double number;
        if (field.unescaped_key().get(key) != simdjson::SUCCESS)
            return sum;
        sum += key.size();
        if (field.value().get_double().get(number) == simdjson::SUCCESS)
            sum += static_cast<uint64_t>(static_cast<int64_t>(number));
    }
    return sum;
}

uint64_t read_data(simdjson::simdjson_result<ondemand::value> value) noexcept
{
    ondemand::object data;
    if (value.get_object().get(data) != simdjson::SUCCESS)
        return 0;
    uint64_t sum = 0;
    for (auto field : data) {
        std::string_view key;
        double number;
        if (field.unescaped_key().get(key) != simdjson::SUCCESS)
            return sum;
        if (key == "scores" || key == "measures")
            sum += sum_object(field.value());
        else if (key == "revision" || key == "weight" || key == "tenure_months")
            sum += field.value().get_double().get(number) == simdjson::SUCCESS;
        else
            sum += text_length(field.value());
    }
    return sum;
}

} // namespace

/* A check sum over the fields of one message; `text` has SIMDJSON_PADDING bytes behind `len`. */
extern "C" uint64_t parse_floor(const char *text, size_t len);

extern "C" uint64_t parse_floor(const char *text, size_t len)
{
    static ondemand::parser parser;
    ondemand::document document;
    ondemand::object root;
    if (parser.iterate(text, len, len + simdjson::SIMDJSON_PADDING).get(document) ||
        document.get_object().get(root))
        return 0;
    uint64_t sum = 0;
    for (auto field : root) {
        std::string_view key;
        if (field.unescaped_key().get(key) != simdjson::SUCCESS)
            return sum;
        sum += key == "data" ? read_data(field.value()) : text_length(field.value());
    }
    return sum;
}
