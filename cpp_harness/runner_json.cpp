#include "runner_json.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace etvk_run {
namespace {

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Json document() {
    Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) {
      fail("text after the value");
    }
    return value;
  }

 private:
  static constexpr int kMaxDepth = 64;

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("JSON: " + what + " at byte " + std::to_string(at_));
  }

  void skip_space() {
    while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) != nullptr) {
      ++at_;
    }
  }

  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void expect(char wanted) {
    if (peek() != wanted) {
      fail(std::string("expected ") + wanted);
    }
    ++at_;
  }

  bool take(const char* word) {
    const size_t length = std::strlen(word);
    if (text_.compare(at_, length, word) != 0) {
      return false;
    }
    at_ += length;
    return true;
  }

  Json parse_value(int depth) {
    if (depth > kMaxDepth) {
      fail("nested too deep");
    }
    switch (peek()) {
      case '{':
        return parse_object(depth);
      case '[':
        return parse_array(depth);
      case '"':
        return Json(parse_string());
      default:
        break;
    }
    if (take("null")) {
      return Json();
    }
    if (take("true")) {
      return Json(true);
    }
    if (take("false")) {
      return Json(false);
    }
    return parse_number();
  }

  // Also the NaN and Infinity that Python writes.
  Json parse_number() {
    const char* start = text_.c_str() + at_;
    char* end = nullptr;
    const double value = std::strtod(start, &end);
    if (end == start) {
      fail("expected a value");
    }
    at_ += static_cast<size_t>(end - start);
    return Json(value);
  }

  std::string parse_string() {
    expect('"');
    std::string value;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] != '\\') {
        value += text_[at_++];
        continue;
      }
      ++at_;
      const char escape = at_ < text_.size() ? text_[at_++] : '\0';
      switch (escape) {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case 'r':
          value += '\r';
          break;
        case 'b':
          value += '\b';
          break;
        case 'f':
          value += '\f';
          break;
        case 'u':
          append_code_unit(&value);
          break;
        case '"':
        case '\\':
        case '/':
          value += escape;
          break;
        default:
          fail("bad escape");
      }
    }
    expect('"');
    return value;
  }

  // One UTF-16 unit as UTF-8; surrogate pairs do not occur in manifests and reports.
  void append_code_unit(std::string* value) {
    if (at_ + 4 > text_.size()) {
      fail("bad escape");
    }
    const unsigned unit =
        static_cast<unsigned>(std::strtoul(text_.substr(at_, 4).c_str(), nullptr, 16));
    at_ += 4;
    if (unit < 0x80) {
      *value += static_cast<char>(unit);
    } else if (unit < 0x800) {
      *value += static_cast<char>(0xC0 | (unit >> 6));
      *value += static_cast<char>(0x80 | (unit & 0x3F));
    } else {
      *value += static_cast<char>(0xE0 | (unit >> 12));
      *value += static_cast<char>(0x80 | ((unit >> 6) & 0x3F));
      *value += static_cast<char>(0x80 | (unit & 0x3F));
    }
  }

  Json parse_array(int depth) {
    expect('[');
    Json value = Json::array();
    if (peek() != ']') {
      value.push(parse_value(depth + 1));
      while (peek() == ',') {
        ++at_;
        value.push(parse_value(depth + 1));
      }
    }
    expect(']');
    return value;
  }

  Json parse_object(int depth) {
    expect('{');
    Json value = Json::object();
    if (peek() != '}') {
      parse_member(&value, depth);
      while (peek() == ',') {
        ++at_;
        parse_member(&value, depth);
      }
    }
    expect('}');
    return value;
  }

  void parse_member(Json* object, int depth) {
    skip_space();
    const std::string key = parse_string();
    expect(':');
    object->set(key, parse_value(depth + 1));
  }

  const std::string& text_;
  size_t at_ = 0;
};

void write_string(const std::string& value, std::string* out) {
  *out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      *out += '\\';
      *out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      *out += escape;
    } else {
      *out += c;
    }
  }
  *out += '"';
}

}  // namespace

Json Json::array() {
  Json value;
  value.kind_ = Kind::Array;
  return value;
}

Json Json::object() {
  Json value;
  value.kind_ = Kind::Object;
  return value;
}

Json Json::parse(const std::string& text) { return Parser(text).document(); }

Json& Json::set(const std::string& key, Json value) {
  for (auto& member : members_) {
    if (member.first == key) {
      member.second = std::move(value);
      return *this;
    }
  }
  members_.emplace_back(key, std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  items_.push_back(std::move(value));
  return *this;
}

const Json& Json::operator[](const std::string& key) const {
  static const Json null;
  for (const auto& member : members_) {
    if (member.first == key) {
      return member.second;
    }
  }
  return null;
}

bool Json::truth() const {
  if (kind_ != Kind::Bool) {
    throw std::runtime_error("JSON: expected true or false");
  }
  return bool_;
}

double Json::number() const {
  if (kind_ != Kind::Number) {
    throw std::runtime_error("JSON: expected a number");
  }
  return number_;
}

const std::string& Json::string() const {
  if (kind_ != Kind::String) {
    throw std::runtime_error("JSON: expected a string");
  }
  return string_;
}

std::string Json::dump() const {
  std::string out;
  write(&out);
  return out;
}

void Json::write(std::string* out) const {
  switch (kind_) {
    case Kind::Null:
      *out += "null";
      return;
    case Kind::Bool:
      *out += bool_ ? "true" : "false";
      return;
    case Kind::Number: {
      char text[40];
      if (!std::isfinite(number_)) {
        *out += "null";
        return;
      }
      const bool whole = number_ == std::floor(number_) && std::fabs(number_) < 9e15;
      std::snprintf(text, sizeof(text), whole ? "%.0f" : "%.9g", number_);
      *out += text;
      return;
    }
    case Kind::String:
      write_string(string_, out);
      return;
    case Kind::Array: {
      *out += '[';
      const char* separator = "";
      for (const auto& item : items_) {
        *out += separator;
        item.write(out);
        separator = ", ";
      }
      *out += ']';
      return;
    }
    case Kind::Object: {
      *out += '{';
      const char* separator = "";
      for (const auto& member : members_) {
        *out += separator;
        write_string(member.first, out);
        *out += ": ";
        member.second.write(out);
        separator = ", ";
      }
      *out += '}';
      return;
    }
  }
}

}  // namespace etvk_run
