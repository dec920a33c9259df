// JSON as the runner needs it: manifests in, reports out.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace etvk_run {

// A JSON value. Objects keep the order in which keys were set.
class Json {
 public:
  enum class Kind { Null, Bool, Number, String, Array, Object };

  Json() = default;
  Json(bool value) : kind_(Kind::Bool), bool_(value) {}
  Json(double value) : kind_(Kind::Number), number_(value) {}
  Json(int value) : Json(static_cast<double>(value)) {}
  // Exact up to 2^53, which sizes and counts here do not reach.
  Json(unsigned value) : Json(static_cast<double>(value)) {}
  Json(unsigned long value) : Json(static_cast<double>(value)) {}
  Json(std::string value) : kind_(Kind::String), string_(std::move(value)) {}
  Json(const char* value) : Json(std::string(value)) {}

  static Json array();
  static Json object();
  // Throws std::runtime_error with the byte offset.
  static Json parse(const std::string& text);

  std::string dump() const;

  Json& set(const std::string& key, Json value);  // object; replaces what the key had
  Json& push(Json value);                         // array

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::Null; }
  const std::vector<Json>& items() const { return items_; }
  const std::vector<std::pair<std::string, Json>>& members() const { return members_; }
  // Null when the key is absent.
  const Json& operator[](const std::string& key) const;
  // These throw std::runtime_error when the value is of another kind.
  bool truth() const;
  double number() const;
  const std::string& string() const;

 private:
  void write(std::string* out) const;

  Kind kind_ = Kind::Null;
  bool bool_ = false;
  double number_ = 0;
  std::string string_;
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

}  // namespace etvk_run
