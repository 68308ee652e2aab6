/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The strict reader of json.h over simdjson.
 *
 * simdjson's first stage does what vector instructions are good at: it checks the UTF-8 of the
 * whole document, finds unescaped control characters and unclosed strings, and lists where every
 * token begins (its "structural index", the thing On-Demand iterates over). The walk below visits
 * each of these tokens once and checks the grammar itself. On-Demand's own iterators are not used:
 * they check neither the values that are skipped nor what follows the document, they answer a
 * trailing byte and a cut document with the same error, and nested ones ask for recursion.
 *
 * What the walk relies on: the index holds each of {}[]:, outside strings and the first byte of
 * every other run of bytes; a string ends where, going back from the next token over white space,
 * its closing quote stands. Whatever a token holds is checked up to the start of the next one, so
 * the walk need not trust how a run of stray bytes was cut into tokens.
 *
 * Bounds: every buffer is allocated once, from the limits. Time is linear in the document, but for
 * duplicate keys: up to FEW_KEYS members are compared pairwise behind a 64-bit filter; larger
 * objects are sorted when they close. No exception can be thrown: simdjson's error-code API only,
 * and no allocation after fp_json_reader_new. */
#define SIMDJSON_EXCEPTIONS 0
extern "C" {
#include "daemon/status.h"
}
#include "daemon/json.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace {

constexpr uint32_t FEW_KEYS = 32;
constexpr uint32_t BYTES_MOST = 1U << 30;
constexpr uint32_t NO_ELEMENT = UINT32_MAX;

using byte = unsigned char;

struct container { /* one that is open */
    uint32_t node;
    bool object;
    uint64_t filter; /* bit set of key_bit() over the members so far */
};

struct release {
    void operator()(void *memory) const noexcept { std::free(memory); }
};
template <typename T> using buffer = std::unique_ptr<T[], release>;

template <typename T> buffer<T> allocate(size_t count) noexcept
{
    return buffer<T>(static_cast<T *>(std::calloc(count, sizeof(T))));
}

} // namespace

struct fp_json_reader {
    fp_json_limits limits;
    std::unique_ptr<simdjson::internal::dom_parser_implementation> index;
    buffer<byte> text;         /* the document, then SIMDJSON_PADDING zero bytes */
    buffer<char> scratch;      /* unescaped strings; together never longer than the document */
    buffer<fp_json_node> nodes;
    buffer<container> open;    /* depth_max */
    buffer<fp_slice> keys;     /* members_max, to sort */
    uint32_t len, used, count, depth;
    const uint32_t *tokens;    /* offsets; tokens[token_count] = len */
    uint32_t token_count, token;
    bool escapes;              /* there is a backslash somewhere */
};

namespace {

using reader = fp_json_reader;

/* ---- errors ---------------------------------------------------------------------------------- */

struct place { /* of the value at hand within the innermost open container */
    fp_slice key;
    uint32_t element;
};

void append(char *path, size_t size, const char *separator, fp_slice name) noexcept
{
    size_t at = std::strlen(path);
    std::snprintf(path + at, size - at, "%s%.*s", at ? separator : "", static_cast<int>(name.len),
                  name.at);
}

void append_step(char *path, size_t size, fp_slice key, uint32_t element) noexcept
{
    if (key.at) {
        append(path, size, ".", key);
    } else if (element != NO_ELEMENT) {
        size_t at = std::strlen(path);
        std::snprintf(path + at, size - at, "[%u]", element);
    }
}

/* The element that is being read in the array open[level] is the last one counted. */
uint32_t element_at(const reader &r, uint32_t level) noexcept
{
    uint32_t count = r.nodes[r.open[level].node].count;
    return r.open[level].object || count == 0 ? NO_ELEMENT : count - 1;
}

__attribute__((format(printf, 5, 6), cold, noinline)) fp_status
fail(const reader &r, place where, fp_error *err, const char *code, const char *format,
     ...) noexcept
{
    char path[512] = "";
    for (uint32_t level = 1; level < r.depth; level++)
        append_step(path, sizeof path, r.nodes[r.open[level].node].key, element_at(r, level - 1));
    append_step(path, sizeof path, where.key, where.element);

    char what[320];
    va_list args;
    va_start(args, format);
    std::vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fp_fail(err, FP_REJECT, code, path, "%s", what);
}

constexpr place HERE = {{nullptr, 0}, NO_ELEMENT}; /* the innermost open container itself */

uint32_t offset(const reader &r) noexcept
{
    return r.tokens[r.token];
}

/* What stands where something else was wanted. */
__attribute__((cold, noinline)) fp_status unexpected(const reader &r, place where, fp_error *err,
                                                     const char *wanted) noexcept
{
    if (r.token >= r.token_count)
        return fail(r, where, err, "bad_json", "the document ends at byte %u, where %s should be",
                    r.len, wanted);
    return fail(r, where, err, "bad_json", "at byte %u there should be %s", offset(r), wanted);
}

/* ---- strings --------------------------------------------------------------------------------- */

int hex4(const char *at, const char *end) noexcept
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int lower = at[i] | 0x20; /* digits have this bit anyway */
        int digit = at[i] >= '0' && at[i] <= '9'   ? at[i] - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

char *put_utf8(char *to, uint32_t point) noexcept
{
    if (point < 0x80) {
        *to++ = static_cast<char>(point);
        return to;
    }
    int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = static_cast<char>(lead[more] | point >> (6 * more));
    for (int i = more - 1; i >= 0; i--)
        *to++ = static_cast<char>(0x80 | (point >> (6 * i) & 0x3F));
    return to;
}

struct fault {
    const char *code, *what; /* code NULL: none */
};

/* \uXXXX, or a pair of them, at *from (behind the 'u'). */
fault unescape_unicode(const char **from, const char *end, char **to) noexcept
{
    int point = hex4(*from, end);
    if (point < 0)
        return {"bad_json", "\\u must be followed by four hexadecimal digits"};
    *from += 4;
    if (point == 0)
        return {"nul_in_string", "\\u0000 cannot be stored as text; leave it out"};
    if ((point & 0xF800) == 0xD800) {
        bool high = point < 0xDC00;
        int low = high && end - *from >= 6 && (*from)[0] == '\\' && (*from)[1] == 'u'
                      ? hex4(*from + 2, end) : -1;
        if ((low & ~0x3FF) != 0xDC00)
            return {"bad_utf8", "half a surrogate pair stands alone; write the character itself"};
        point = 0x10000 + ((point & 0x3FF) << 10) + (low & 0x3FF);
        *from += 6;
    }
    *to = put_utf8(*to, static_cast<uint32_t>(point));
    return {};
}

fault unescape_one(const char **from, const char *end, char **to) noexcept
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = *(*from)++;
    if (c == 'u')
        return unescape_unicode(from, end, to);
    const char *name = c ? std::strchr(names, c) : nullptr;
    if (!name)
        return {"bad_json", "a backslash must be followed by one of \" \\ / b f n r t u"};
    *(*to)++ = values[name - names];
    return {};
}

/* The value of text[0 … len-1], which stands between quotes, into the scratch. */
fault unescape(reader &r, fp_slice text, fp_slice *value) noexcept
{
    const char *from = text.at, *end = text.at + text.len;
    char *first = r.scratch.get() + r.used, *to = first;
    while (from < end) {
        auto *slash = static_cast<const char *>(
            std::memchr(from, '\\', static_cast<size_t>(end - from)));
        size_t run = static_cast<size_t>((slash ? slash : end) - from);
        std::memcpy(to, from, run);
        to += run;
        from += run;
        if (!slash)
            break;
        from++; /* the closing quote is not escaped, so something follows the backslash */
        fault found = unescape_one(&from, end, &to);
        if (found.code)
            return found;
    }
    *value = {first, static_cast<uint32_t>(to - first)};
    r.used += value->len;
    return {};
}

/* The bytes of the token at hand without the white space behind it. */
fp_slice token_text(const reader &r) noexcept
{
    uint32_t start = r.tokens[r.token], end = r.tokens[r.token + 1];
    while (end > start + 1 && (r.text[end - 1] == ' ' || r.text[end - 1] == '\n' ||
                               r.text[end - 1] == '\r' || r.text[end - 1] == '\t'))
        end--;
    return {reinterpret_cast<const char *>(r.text.get()) + start, end - start};
}

/* The string token at hand. */
fp_status read_string(reader &r, place where, fp_slice *value, fp_error *err) noexcept
{
    fp_slice token = token_text(r);
    if (token.len < 2 || token.at[token.len - 1] != '"')
        return unexpected(r, where, err, "a closed string");
    *value = {token.at + 1, token.len - 2};
    if (r.escapes && value->len && std::memchr(value->at, '\\', value->len)) {
        fault found = unescape(r, *value, value);
        if (found.code)
            return fail(r, where, err, found.code, "in the string at byte %u: %s", offset(r),
                        found.what);
    }
    if (value->len > r.limits.string_max)
        return fail(r, where, err, "string_too_long",
                    "a string of %u bytes; at most %u are allowed", value->len,
                    r.limits.string_max);
    return FP_OK;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* One of 64 bits, from the length and the first eight bytes (buffers are padded). */
uint64_t key_bit(fp_slice key) noexcept
{
    uint64_t word;
    std::memcpy(&word, key.at, sizeof word);
    if (key.len < sizeof word)
        word &= (UINT64_C(1) << (8 * key.len)) - 1;
    return UINT64_C(1) << (((word ^ key.len) * UINT64_C(0x9E3779B97F4A7C15)) >> 58);
}

bool key_less(fp_slice a, fp_slice b) noexcept
{
    return a.len != b.len ? a.len < b.len : std::memcmp(a.at, b.at, a.len) < 0;
}

fp_status duplicate(const reader &r, fp_slice key, fp_error *err) noexcept
{
    return fail(r, {key, NO_ELEMENT}, err, "duplicate_key",
                "the member is given twice; which one counts is not defined");
}

/* Compares the key with the members before it, as long as they are few. */
fp_status check_key(const reader &r, container &into, fp_slice key, fp_error *err) noexcept
{
    const fp_json_node &object = r.nodes[into.node];
    uint64_t bit = key_bit(key);
    if (object.count < FEW_KEYS && (into.filter & bit))
        for (uint32_t i = into.node + 1; i < r.count; i = r.nodes[i].next)
            if (fp_slice_equal(r.nodes[i].key, key))
                return duplicate(r, key, err);
    into.filter |= bit;
    return FP_OK;
}

/* An object of many members: sorted, equal keys stand side by side. */
fp_status check_all_keys(reader &r, const container &closed, fp_error *err) noexcept
{
    uint32_t count = 0;
    for (uint32_t i = closed.node + 1; i < r.count; i = r.nodes[i].next)
        r.keys[count++] = r.nodes[i].key;
    std::sort(r.keys.get(), r.keys.get() + count, key_less);
    for (uint32_t i = 1; i < count; i++)
        if (fp_slice_equal(r.keys[i - 1], r.keys[i]))
            return duplicate(r, r.keys[i], err);
    return FP_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

bool skip_digits(const char **at, const char *end) noexcept
{
    const char *first = *at;
    while (*at < end && **at >= '0' && **at <= '9')
        ++*at;
    return *at > first;
}

/* The grammar of RFC 8259 §6. */
bool is_number(fp_slice text) noexcept
{
    const char *at = text.at, *end = text.at + text.len;
    if (*at == '-')
        at++;
    if (at < end && *at == '0')
        at++;
    else if (!skip_digits(&at, end))
        return false;
    if (at < end && *at == '.') {
        at++;
        if (!skip_digits(&at, end))
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        if (!skip_digits(&at, end))
            return false;
    }
    return at == end;
}

fp_status read_number(const reader &r, place where, fp_slice *value, fp_error *err) noexcept
{
    *value = token_text(r);
    if (value->len > r.limits.number_max)
        return fail(r, where, err, "number_too_long",
                    "a number of %u bytes; at most %u are allowed", value->len,
                    r.limits.number_max);
    if (!is_number(*value))
        return fail(r, where, err, "bad_json",
                    "at byte %u stands something like a number that JSON does not allow",
                    offset(r));
    return FP_OK;
}

fp_status read_literal(const reader &r, place where, fp_json_type *type, fp_error *err) noexcept
{
    fp_slice token = token_text(r);
    if (fp_slice_is(token, "null"))
        *type = FP_JSON_NULL;
    else if (fp_slice_is(token, "true"))
        *type = FP_JSON_TRUE;
    else if (fp_slice_is(token, "false"))
        *type = FP_JSON_FALSE;
    else
        return unexpected(r, where, err, "a value");
    return FP_OK;
}

fp_status open_container(reader &r, place where, bool object, fp_error *err) noexcept
{
    if (r.depth == r.limits.depth_max)
        return fail(r, where, err, "too_deep", "nested deeper than %u levels", r.limits.depth_max);
    r.open[r.depth++] = {r.count, object, 0};
    return FP_OK;
}

fp_status read_value(reader &r, place where, fp_error *err) noexcept
{
    if (r.count == r.limits.nodes_max)
        return fail(r, where, err, "too_many_values", "more than %u values in the document",
                    r.limits.nodes_max);
    fp_json_node &node = r.nodes[r.count];
    node.key = where.key;
    node.text = {nullptr, 0};
    node.count = 0;
    node.next = r.count + 1;
    fp_status status;
    switch (r.token < r.token_count ? r.text[offset(r)] : 0) {
    case '"':
        node.type = FP_JSON_STRING;
        status = read_string(r, where, &node.text, err);
        break;
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        node.type = FP_JSON_NUMBER;
        status = read_number(r, where, &node.text, err);
        break;
    case '{':
        node.type = FP_JSON_OBJECT;
        status = open_container(r, where, true, err);
        break;
    case '[':
        node.type = FP_JSON_ARRAY;
        status = open_container(r, where, false, err);
        break;
    case 'n': case 't': case 'f':
        status = read_literal(r, where, &node.type, err);
        break;
    default:
        status = unexpected(r, where, err, "a value");
    }
    r.count++;
    r.token++;
    return status;
}

/* "key": with the reader left at the value. */
fp_status read_key(reader &r, container &into, place *where, fp_error *err) noexcept
{
    if (r.token >= r.token_count || r.text[offset(r)] != '"')
        return unexpected(r, HERE, err, "a member name in double quotes");
    fp_status status = read_string(r, HERE, &where->key, err);
    if (status != FP_OK)
        return status;
    r.token++;
    if (r.token >= r.token_count || r.text[offset(r)] != ':')
        return unexpected(r, *where, err, "a colon");
    r.token++;
    return check_key(r, into, where->key, err);
}

fp_status close_container(reader &r, fp_error *err) noexcept
{
    const container &closed = r.open[r.depth - 1];
    fp_json_node &node = r.nodes[closed.node];
    if (closed.object && node.count > FEW_KEYS) {
        fp_status status = check_all_keys(r, closed, err);
        if (status != FP_OK)
            return status;
    }
    node.next = r.count;
    r.depth--;
    r.token++;
    return FP_OK;
}

/* One step within the innermost open container: its end, or its next member or element. */
fp_status step(reader &r, fp_error *err) noexcept
{
    container &into = r.open[r.depth - 1];
    fp_json_node &node = r.nodes[into.node];
    byte c = r.token < r.token_count ? r.text[offset(r)] : 0;
    if (c == (into.object ? '}' : ']'))
        return close_container(r, err);
    if (node.count > 0) {
        if (c != ',')
            return unexpected(r, HERE, err, into.object ? "a comma or }" : "a comma or ]");
        r.token++;
    }
    if (node.count == r.limits.members_max)
        return fail(r, HERE, err, "too_many_values", "more than %u members or elements",
                    r.limits.members_max);
    place where = {{nullptr, 0}, into.object ? NO_ELEMENT : node.count};
    if (into.object) {
        fp_status status = read_key(r, into, &where, err);
        if (status != FP_OK)
            return status;
    }
    node.count++;
    return read_value(r, where, err);
}

fp_status walk(reader &r, fp_error *err) noexcept
{
    fp_status status = read_value(r, HERE, err);
    while (status == FP_OK && r.depth > 0)
        status = step(r, err);
    if (status == FP_OK && r.token != r.token_count)
        return fail(r, HERE, err, "trailing_bytes",
                    "one document is allowed; something follows it at byte %u", offset(r));
    return status;
}

/* UTF-8, string ends and the token index of the whole text. */
fp_status build_index(reader &r, fp_error *err) noexcept
{
    if (r.len >= 3 && std::memcmp(r.text.get(), "\xEF\xBB\xBF", 3) == 0)
        return fail(r, HERE, err, "bad_utf8", "it begins with a byte order mark; leave it out");
    switch (r.index->stage1(r.text.get(), r.len, simdjson::stage1_mode::regular)) {
    case simdjson::SUCCESS:
        break;
    case simdjson::EMPTY:
        return fail(r, HERE, err, "empty", "there is nothing but white space");
    case simdjson::UTF8_ERROR:
        return fail(r, HERE, err, "bad_utf8", "the bytes are not valid UTF-8");
    case simdjson::UNCLOSED_STRING:
        return fail(r, HERE, err, "bad_json", "a string has no closing quote");
    case simdjson::UNESCAPED_CHARS:
        return fail(r, HERE, err, "bad_json",
                    "a control character stands in a string; write it as an escape");
    default:
        return fail(r, HERE, err, "bad_json", "the text cannot be read as JSON");
    }
    r.tokens = r.index->structural_indexes.get();
    r.token_count = r.index->n_structural_indexes;
    return FP_OK;
}

bool allocate_all(reader &r) noexcept
{
    const fp_json_limits &limits = r.limits;
    r.text = allocate<byte>(size_t{limits.bytes_max} + simdjson::SIMDJSON_PADDING);
    r.scratch = allocate<char>(size_t{limits.bytes_max} + sizeof(uint64_t));
    r.nodes = allocate<fp_json_node>(limits.nodes_max);
    r.open = allocate<container>(limits.depth_max);
    r.keys = allocate<fp_slice>(limits.members_max);
    return r.text && r.scratch && r.nodes && r.open && r.keys &&
           simdjson::get_active_implementation()->create_dom_parser_implementation(
               limits.bytes_max, 1, r.index) == simdjson::SUCCESS;
}

} // namespace

fp_json_reader *fp_json_reader_new(const fp_json_limits *limits)
{
    if (!limits)
        limits = &fp_json_limits_default;
    if (limits->bytes_max == 0 || limits->bytes_max > BYTES_MOST || limits->depth_max == 0 ||
        limits->nodes_max == 0 || limits->members_max == 0)
        return nullptr;
    std::unique_ptr<reader> made(new (std::nothrow) reader{});
    if (!made)
        return nullptr;
    made->limits = *limits;
    return allocate_all(*made) ? made.release() : nullptr;
}

void fp_json_reader_free(fp_json_reader *reader)
{
    delete reader;
}

fp_status fp_json_parse(fp_json_reader *reader, const void *bytes, size_t len,
                        const fp_json_node **nodes, uint32_t *count, fp_error *err)
{
    fp_json_reader &r = *reader;
    r.used = r.count = r.depth = r.token = r.token_count = 0;
    r.len = static_cast<uint32_t>(len);
    if (len == 0)
        return fail(r, HERE, err, "empty", "there is no text");
    if (len > r.limits.bytes_max)
        return fail(r, HERE, err, "too_long", "%zu bytes; at most %u are allowed", len,
                    r.limits.bytes_max);
    std::memcpy(r.text.get(), bytes, len);
    std::memset(r.text.get() + len, 0, simdjson::SIMDJSON_PADDING);
    r.escapes = std::memchr(bytes, '\\', len) != nullptr;
    fp_status status = build_index(r, err);
    if (status == FP_OK)
        status = walk(r, err);
    if (status != FP_OK) {
        /* of several faults that of the bytes comes first; what the index sees first differs with
         * the instruction set */
        if (fp_json_valid_utf8(bytes, len))
            return status;
        r.depth = 0;
        return fail(r, HERE, err, "bad_utf8", "the bytes are not valid UTF-8");
    }
    *nodes = r.nodes.get();
    *count = r.count;
    return FP_OK;
}

bool fp_json_valid_utf8(const void *bytes, size_t len)
{
    return simdjson::validate_utf8(static_cast<const char *>(bytes), len);
}
