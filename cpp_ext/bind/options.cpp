#include "bind/options.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

namespace mmreg::bind {
namespace {

void make_scan(ScanArgument* self, In<float, 3> image, Matrix affine, HostMask mask) {
  const Scan view = scan(image, affine, mask);
  new (self) ScanArgument{std::move(image), std::move(mask), view};
}

Figures figures_of(const std::string& quality) {
  if (quality == "fast") return Figures::fast;
  if (quality == "none") return Figures::none;
  require(quality == "full", "quality must be full, fast or none");
  return Figures::full;
}

void make_options(OptionsArgument* self, const std::string& align, bool deform, bool refine,
                  std::optional<EngineSpec> engine, std::optional<Matrix> start, double deadline_s,
                  std::optional<nb::callable> now, std::optional<nb::callable> cancelled, std::optional<float> outside,
                  int threads, const std::string& target, DeviceQueue* device, bool keep_on_device, bool inverse,
                  const std::string& quality) {
  OptionsArgument options;
  options.pipeline.align = align_kind(align);
  options.pipeline.deform = deform;
  options.pipeline.refine = refine;
  options.pipeline.deadline_s = deadline_s;
  options.pipeline.outside = outside;
  options.pipeline.inverse = inverse;
  options.pipeline.figures = figures_of(quality);
  const bool cascade = engine && engine->engine.output == EngineOutput::rigid;
  require(!start || cascade || options.pipeline.align == AlignKind::none, "start requires align='none'");
  if (start) options.pipeline.start = affine_map(*start);
  options.engine = std::move(engine);
  options.cancelled = std::move(cancelled);
  options.now = std::move(now);
  options.threads = threads;
  options.target = target;
  options.device = device;
  if (device) options.device_owner = nb::find(device);
  options.keep_on_device = keep_on_device;
  new (self) OptionsArgument(std::move(options));
}

}  // namespace

void bind_options(nb::module_& m) {
  nb::class_<ScanArgument>(m, "Scan", "An image with its affine and an optional mask.")
      .def("__init__", &make_scan, "image"_a.noconvert(), "affine"_a, "mask"_a = nb::none(),
           "image: (D, H, W) float32. affine: (4, 4), array indices to RAS+ mm. mask: (D, H, W) uint8, 0 is excluded.");
  nb::class_<OptionsArgument>(m, "Options", "Options of a registration.")
      .def("__init__", &make_options, nb::kw_only(), "align"_a = "affine", "deform"_a = true, "refine"_a = true,
           "engine"_a = nb::none(), "start"_a = nb::none(), "deadline_s"_a = 0.0, "now"_a = nb::none(),
           "cancelled"_a = nb::none(), "outside"_a = nb::none(), "threads"_a = 0, "target"_a = "",
           "device"_a.none() = nb::none(), "keep_on_device"_a = false, "inverse"_a = true, "quality"_a = "full",
           "align: none, rigid or affine. engine: a network. refine: whether the solver refines its output. start: (4, "
           "4), known alignment from fixed to moving mm, for align='none'; the figures before registration do not "
           "include it. deadline_s: time limit of the call, measured by now() if set; 0 for none. cancelled(stage, "
           "share) is called between steps and cancels the registration by returning True. outside: value of the "
           "warped scan outside the moving scan; None for its lowest value. device: a queue to run on, which replaces "
           "target. keep_on_device: leave results on the device, as (address, shape, owner). "
           "inverse: compute it. quality: full, fast (without MIND, evidence and inverse consistency) or none.");
}

}  // namespace mmreg::bind
