// register_cpp FIXED MOVING FIELD: as register.c.
#include <fstream>
#include <iostream>
#include <mmreg.hpp>
#include <string>
#include <vector>

struct Scan {
  mmreg::Shape shape;
  mmreg::Matrix affine;
  std::vector<float> data;

  explicit Scan(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    file.exceptions(std::ios::badbit | std::ios::failbit | std::ios::eofbit);
    file.read(reinterpret_cast<char*>(shape.data()), sizeof shape);
    file.read(reinterpret_cast<char*>(affine.data()), sizeof affine);
    data.resize(std::size_t(shape[0] * shape[1] * shape[2]));
    file.read(reinterpret_cast<char*>(data.data()), std::streamsize(data.size() * sizeof(float)));
  }
  mmreg::Image image() const { return mmreg::Image(data.data(), shape, affine); }
};

int main(int count, char** words) try {
  if (count != 4) return 2;
  const Scan fixed(words[1]), moving(words[2]);
  std::vector<float> field(3 * fixed.data.size());
  mmreg::Context context;
  mmreg::Session session(context);
  session.set_fixed(fixed.image());
  session.register_image(moving.image(), mmreg::Outputs().displacement_mm(field));
  std::ofstream(words[3], std::ios::binary)
      .write(reinterpret_cast<const char*>(field.data()), std::streamsize(field.size() * sizeof(float)));
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
