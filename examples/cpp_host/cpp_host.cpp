// cpp_host: one thread acquires frames at a fixed rate, another one registers the newest. A newer frame cancels a
// registration whose frame is older than allowed, so that answers do not fall behind the patient.
//
//   cpp_host SIDE FRAMES PERIOD_MS LARGEST_AGE_MS
//
// The frames are simulated, so the errors of a tracked point are known. Prints what became of the frames.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mmreg.hpp>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "simulated_cine.h"

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct Frame {
  std::vector<float> pixels;
  double phase = 0;
  std::uint64_t number = 0;
  Clock::time_point acquired;

  double age_ms() const { return Milliseconds(Clock::now() - acquired).count(); }
};

// One place for the newest frame: an older one that was not taken is dropped.
class Newest {
 public:
  void put(Frame frame) {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      dropped_ += frame_.has_value();
      frame_ = std::move(frame);
    }
    ready_.notify_one();
  }
  void close() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      closed_ = true;
    }
    ready_.notify_one();
  }
  std::optional<Frame> take() {  // empty: there are no more
    std::unique_lock<std::mutex> hold(mutex_);
    ready_.wait(hold, [this] { return frame_ || closed_; });
    return std::exchange(frame_, std::nullopt);
  }
  int dropped() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return dropped_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::optional<Frame> frame_;
  bool closed_ = false;
  int dropped_ = 0;
};

// The session, its calls in one thread, and their cancellation by another one.
class Registration {
 public:
  Registration(int side, double largest_age_ms) : side_(side), largest_age_ms_(largest_age_ms) {}

  double prepare(const std::vector<float>& fixed) {  // returns the time of the warm-up
    session_.set_fixed(image(fixed));
    return session_.warm_up(image(fixed), 3);
  }

  // Called when there is a new frame, which may be the one that runs already.
  void cancel_older(std::uint64_t number) {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (!running_ || cancelled_ || !may_cancel_) return;
    if (running_->number >= number || running_->age_ms() < largest_age_ms_) return;
    cancelled_ = true;
    session_.cancel();
  }

  // Returns whether there is an answer. After a cancelled frame the next one is not cancelled: were none registered to
  // its end, there would be no answers at all.
  bool answer(const Frame& frame, mmreg::Span<float> warped) {
    begin(frame);
    bool answered = false;
    do {
      answered = run(frame, warped);
    } while (!answered && !cancelled());  // a cancellation that came after the frame before had its answer
    end(answered);
    return answered;
  }

  SimulatedCine::Point map(const SimulatedCine::Point& point) {
    constexpr double mm = SimulatedCine::kPixelMm;
    const double half = 0.5 * side_;
    std::vector<double> at = {0, (point[0] + half) * mm, (point[1] + half) * mm};
    session_.map_points(at, at);
    return {at[1] / mm - half, at[2] / mm - half};
  }

 private:
  mmreg::Image image(const std::vector<float>& pixels) const {
    constexpr double mm = SimulatedCine::kPixelMm;
    return {pixels.data(), {1, side_, side_}, {1, 0, 0, 0, 0, mm, 0, 0, 0, 0, mm, 0, 0, 0, 0, 1}};
  }
  bool run(const Frame& frame, mmreg::Span<float> warped) {
    try {
      const mmreg::Result result =
          session_.register_image(image(frame.pixels).timestamp_ns(frame.number), mmreg::Outputs().warped(warped));
      if (result.timestamp_ns != frame.number) throw std::logic_error("the answer is for another frame");
      return true;
    } catch (const mmreg::Error& error) {
      if (!error.cancelled()) throw;
      return false;
    }
  }
  void begin(const Frame& frame) {
    const std::lock_guard<std::mutex> hold(mutex_);
    running_ = &frame;
    cancelled_ = false;
  }
  void end(bool answered) {
    const std::lock_guard<std::mutex> hold(mutex_);
    running_ = nullptr;
    may_cancel_ = answered;
  }
  bool cancelled() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return cancelled_;
  }

  const int side_;
  const double largest_age_ms_;
  const mmreg::Context context_;
  mmreg::Session session_{context_};
  mutable std::mutex mutex_;
  const Frame* running_ = nullptr;
  bool cancelled_ = false, may_cancel_ = true;
};

struct Summary {
  int answers = 0, cancelled = 0;
  std::vector<double> ages_ms, errors_mm;

  void print(int frames, double period_ms, int dropped) {
    std::printf("%d frames, one every %g ms: %d registered, %d cancelled, %d dropped\n", frames, period_ms, answers,
                cancelled, dropped);
    if (answers == 0) return;
    std::sort(ages_ms.begin(), ages_ms.end());
    std::sort(errors_mm.begin(), errors_mm.end());
    const std::size_t middle = ages_ms.size() / 2;
    std::printf("age of an answer: median %.1f ms, oldest %.1f ms\n", ages_ms[middle], ages_ms.back());
    std::printf("error of a tracked lesion: median %.2f mm, largest %.2f mm\n", errors_mm[middle], errors_mm.back());
  }
};

class Host {
 public:
  static constexpr int kBreath = 40;  // frames of a breath

  Host(int side, double largest_age_ms) : cine_(side, 0.04 * side), registration_(side, largest_age_ms) {
    for (int k = 0; k < kBreath; ++k) breath_.push_back(cine_.frame(double(k) / kBreath, std::uint32_t(k)));
    std::printf("warm-up %.1f ms\n", registration_.prepare(breath_[0]));
    std::fflush(stdout);
  }

  Summary run(int frames, double period_ms) {
    std::thread acquisition([&] { acquire(frames, period_ms); });
    try {
      const Summary summary = register_all();
      acquisition.join();
      return summary;
    } catch (...) {
      stopped_ = true;
      acquisition.join();
      throw;
    }
  }

  int dropped() const { return newest_.dropped(); }

 private:
  void acquire(int frames, double period_ms) {
    const Clock::time_point began = Clock::now();
    for (int k = 1; k <= frames && !stopped_; ++k) {
      std::this_thread::sleep_until(began + std::chrono::duration_cast<Clock::duration>(Milliseconds(k * period_ms)));
      const int at = k % kBreath;
      newest_.put({breath_[std::size_t(at)], double(at) / kBreath, std::uint64_t(k), Clock::now()});
      registration_.cancel_older(std::uint64_t(k));
    }
    newest_.close();
  }

  Summary register_all() {
    Summary summary;
    std::vector<float> warped(breath_[0].size());
    while (const std::optional<Frame> frame = newest_.take()) {
      if (!registration_.answer(*frame, warped)) {
        ++summary.cancelled;
        continue;
      }
      ++summary.answers;
      summary.ages_ms.push_back(frame->age_ms());
      summary.errors_mm.push_back(error_mm(frame->phase));
    }
    return summary;
  }

  double error_mm(double phase) {
    const SimulatedCine::Point found = registration_.map(cine_.lesion()), right = cine_.moved(cine_.lesion(), phase);
    return SimulatedCine::kPixelMm * std::hypot(found[0] - right[0], found[1] - right[1]);
  }

  const SimulatedCine cine_;
  std::vector<std::vector<float>> breath_;
  Registration registration_;
  Newest newest_;
  std::atomic<bool> stopped_{false};
};

double number(const char* name, const std::string& word, double least, double most) {
  std::size_t read = 0;
  double value = 0;
  try {
    value = std::stod(word, &read);
  } catch (const std::logic_error&) {  // not a number, or none of this size
  }
  if (read == 0 || read != word.size() || !(value >= least && value <= most))
    throw std::invalid_argument(std::string(name) + " must be a number from " + std::to_string(int(least)) + " to " +
                                std::to_string(int(most)) + "; found " + word);
  return value;
}

}  // namespace

int main(int count, char** words) {
  try {
    if (count != 5) throw std::invalid_argument("four arguments are needed");
    const int side = int(number("SIDE", words[1], 32, 1024)), frames = int(number("FRAMES", words[2], 1, 1e9));
    const double period_ms = number("PERIOD_MS", words[3], 0, 1e6);
    Host host(side, number("LARGEST_AGE_MS", words[4], 0, 1e6));
    Summary summary = host.run(frames, period_ms);
    summary.print(frames, period_ms, host.dropped());
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "cpp_host: %s\nusage: cpp_host SIDE FRAMES PERIOD_MS LARGEST_AGE_MS\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cpp_host: %s\n", error.what());
    return 1;
  }
}
