// OpenIGTLink messages. What comes from the network is checked here, before it is used or passed to a library; what is
// sent is packed by the OpenIGTLink library.
#pragma once
#include <igtlImageMessage.h>
#include <igtlStatusMessage.h>
#include <igtlTransformMessage.h>
#include <igtl_header.h>
#include <igtl_image.h>
#include <igtl_util.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mmreg.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::vector<std::uint8_t>;

struct Refusal : std::runtime_error {  // a message cannot be used; the peer gets the text
  Refusal(int code, const std::string& text, bool lost = false) : runtime_error(text), code(code), lost(lost) {}
  int code;   // igtl::StatusMessage::STATUS_...
  bool lost;  // where the next message begins is not known
};

struct Header {
  std::string type, device;
  int version;
  std::uint64_t timestamp, body_bytes, crc;  // the time in the format of the protocol, 32 bits of seconds first
};

inline std::string text_of(const char* characters, std::size_t most) {  // the terminator may be missing
  return {characters, std::find(characters, characters + most, '\0')};
}

inline std::string printable(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

inline Header read_header(const std::uint8_t (&bytes)[IGTL_HEADER_SIZE]) {
  static_assert(sizeof(igtl_header) == IGTL_HEADER_SIZE);
  igtl_header raw;
  std::memcpy(&raw, bytes, sizeof raw);
  igtl_header_convert_byte_order(&raw);
  return {text_of(raw.name, sizeof raw.name),
          text_of(raw.device_name, sizeof raw.device_name),
          raw.version,
          raw.timestamp,
          raw.body_size,
          raw.crc};
}

// Messages of version 1 of the header, and of version 2, which have an extended header and metadata around the content.
inline void check_header(const Header& header, std::uint64_t largest_body) {
  if (header.version != 1 && header.version != 2)
    throw Refusal(igtl::StatusMessage::STATUS_UNKNOWN_VERSION, "The header must be of version 1 or 2.", true);
  if (header.body_bytes > largest_body)
    throw Refusal(igtl::StatusMessage::STATUS_OVERFLOW,
                  "The message has " + std::to_string(header.body_bytes) + " bytes, and " +
                      std::to_string(largest_body) + " are allowed (--largest-mb).",
                  true);
}

inline void check_crc(const Header& header, Bytes& body) {
  if (crc64(body.data(), body.size(), 0) != header.crc)
    throw Refusal(igtl::StatusMessage::STATUS_CHECKSUM_ERROR, "The checksum is wrong.");
}

struct Content {
  std::uint8_t* data;
  std::size_t bytes;
};

inline Refusal malformed(const std::string& text) { return {igtl::StatusMessage::STATUS_CONFIG_ERROR, text}; }

inline Content content_of(const Header& header, Bytes& body) {
  if (header.version == 1) return {body.data(), body.size()};
  const auto number = [&](std::size_t at, int bytes) {
    std::uint64_t value = 0;
    for (int k = 0; k < bytes; ++k) value = value << 8 | body[at + std::size_t(k)];
    return value;
  };
  constexpr std::size_t least = 12;
  if (body.size() < least) throw malformed("The extended header is not whole.");
  const std::uint64_t before = number(0, 2), after = number(2, 2) + number(4, 4);
  if (before < least || before + after > body.size())
    throw malformed("The extended header announces more bytes than the message has.");
  return {body.data() + before, std::size_t(body.size() - before - after)};
}

// An image of the network, in the memory of its message.
struct Picture {
  igtl_image_header header;
  std::uint8_t* voxels;

  std::size_t count() const { return std::size_t(header.size[0]) * header.size[1] * header.size[2]; }

  mmreg::Image view() const {
    switch (header.scalar_type) {
      case IGTL_IMAGE_STYPE_TYPE_UINT8:
        return view_as<std::uint8_t>();
      case IGTL_IMAGE_STYPE_TYPE_INT16:
        return view_as<std::int16_t>();
      case IGTL_IMAGE_STYPE_TYPE_UINT16:
        return view_as<std::uint16_t>();
      case IGTL_IMAGE_STYPE_TYPE_INT32:
        return view_as<std::int32_t>();
      case IGTL_IMAGE_STYPE_TYPE_FLOAT64:
        return view_as<double>();
      default:
        return view_as<float>();
    }
  }

 private:
  template <class T>
  mmreg::Image view_as() const {
    return {static_cast<const T*>(static_cast<const void*>(voxels)),
            {header.size[2], header.size[1], header.size[0]},
            affine()};
  }

  // Index (d, h, w) = (k, j, i) to RAS+ mm. The matrix of the message has the columns of i, j and k, and the position
  // of the centre of the volume, index (n - 1) / 2, in RAS or LPS.
  mmreg::Matrix affine() const {
    mmreg::Matrix out{};
    for (int row = 0; row < 3; ++row) {
      const double sign = header.coord == IGTL_IMAGE_COORD_LPS && row < 2 ? -1 : 1;
      double first = header.matrix[9 + row];
      for (int axis = 0; axis < 3; ++axis) {
        const double step = header.matrix[3 * axis + row];
        out[std::size_t(4 * row + 2 - axis)] = sign * step;
        first -= step * 0.5 * (header.size[axis] - 1);
      }
      out[std::size_t(4 * row + 3)] = sign * first;
    }
    out[15] = 1;
    return out;
  }
};

inline bool known_scalar(int type) {
  return type == IGTL_IMAGE_STYPE_TYPE_UINT8 || type == IGTL_IMAGE_STYPE_TYPE_INT16 ||
         type == IGTL_IMAGE_STYPE_TYPE_UINT16 || type == IGTL_IMAGE_STYPE_TYPE_INT32 ||
         type == IGTL_IMAGE_STYPE_TYPE_FLOAT32 || type == IGTL_IMAGE_STYPE_TYPE_FLOAT64;
}

inline Picture picture_of(const Content& content) {
  static_assert(sizeof(igtl_image_header) == IGTL_IMAGE_HEADER_SIZE);
  Picture out{};
  if (content.bytes < IGTL_IMAGE_HEADER_SIZE) throw malformed("The header of the image is not whole.");
  std::memcpy(&out.header, content.data, IGTL_IMAGE_HEADER_SIZE);
  igtl_image_convert_byte_order(&out.header);
  const igtl_image_header& h = out.header;
  if (h.version != IGTL_IMAGE_HEADER_VERSION) throw malformed("The header of the image must be of version 1.");
  if (h.num_components != 1) throw malformed("An image must have one component.");
  if (!known_scalar(h.scalar_type)) throw malformed("Voxels must be uint8, int16, uint16, int32, float32 or float64.");
  if (h.endian != IGTL_IMAGE_ENDIAN_BIG && h.endian != IGTL_IMAGE_ENDIAN_LITTLE)
    throw malformed("The byte order of the voxels is unknown.");
  if (h.coord != IGTL_IMAGE_COORD_RAS && h.coord != IGTL_IMAGE_COORD_LPS)
    throw malformed("The coordinate system must be RAS or LPS.");
  for (int axis = 0; axis < 3; ++axis)
    if (h.subvol_offset[axis] != 0 || h.subvol_size[axis] != h.size[axis])
      throw malformed("An image must be sent whole, not as a subvolume.");
  const std::uint64_t bytes = igtl_get_scalar_size(h.scalar_type), count = out.count();
  if (count == 0 || content.bytes - IGTL_IMAGE_HEADER_SIZE != bytes * count)
    throw malformed("The size of the image and the size of the message do not agree.");
  out.voxels = content.data + IGTL_IMAGE_HEADER_SIZE;
  if ((h.endian == IGTL_IMAGE_ENDIAN_LITTLE) != bool(igtl_is_little_endian()))
    for (std::uint64_t k = 0; k < count; ++k) std::reverse(out.voxels + k * bytes, out.voxels + (k + 1) * bytes);
  return out;
}

// ---- answers, with the time of the message that they answer

template <class Message>
typename Message::Pointer message(const char* device, std::uint64_t timestamp) {
  typename Message::Pointer out = Message::New();
  out->SetDeviceName(device);
  out->SetTimeStamp(unsigned(timestamp >> 32), unsigned(timestamp & 0xffffffff));
  return out;
}

inline igtl::MessageBase::Pointer transform_message(const double (&fixed_to_moving)[16], std::uint64_t timestamp) {
  const auto out = message<igtl::TransformMessage>("FixedToMoving", timestamp);
  igtl::Matrix4x4 matrix;
  for (int k = 0; k < 16; ++k) matrix[k / 4][k % 4] = float(fixed_to_moving[k]);
  out->SetMatrix(matrix);
  return out.GetPointer();
}

// The geometry is that of the fixed image, bit for bit: with a spacing of 1, the columns are sent as they came.
inline igtl::MessageBase::Pointer image_message(const igtl_image_header& fixed, const std::vector<float>& voxels,
                                                std::uint64_t timestamp) {
  const auto out = message<igtl::ImageMessage>("Warped", timestamp);
  out->SetDimensions(fixed.size[0], fixed.size[1], fixed.size[2]);
  out->SetScalarType(igtl::ImageMessage::TYPE_FLOAT32);
  out->SetEndian(igtl_is_little_endian() ? igtl::ImageMessage::ENDIAN_LITTLE : igtl::ImageMessage::ENDIAN_BIG);
  out->SetCoordinateSystem(fixed.coord);
  out->SetSpacing(1, 1, 1);
  igtl::Matrix4x4 matrix = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 1}};
  for (int k = 0; k < 12; ++k) matrix[k % 3][k / 3] = fixed.matrix[k];
  out->SetMatrix(matrix);
  out->AllocateScalars();
  std::memcpy(out->GetScalarPointer(), voxels.data(), voxels.size() * sizeof(float));
  return out.GetPointer();
}

inline igtl::MessageBase::Pointer status_message(int code, const char* name, const std::string& text,
                                                 std::uint64_t timestamp) {
  const auto out = message<igtl::StatusMessage>("mmreg", timestamp);
  out->SetCode(code);
  out->SetSubCode(0);
  out->SetErrorName(name);
  out->SetStatusString(text.c_str());
  return out.GetPointer();
}
