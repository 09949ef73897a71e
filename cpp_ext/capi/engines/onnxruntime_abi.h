// The functions of ONNX Runtime's table that run a network, besides those of plugins/onnxruntime/abi.h.
#pragma once
#include "plugins/onnxruntime/abi.h"

namespace mmreg::onnxruntime {

struct Environment;
struct Session;
struct RunOptions;
struct MemoryInfo;

constexpr int kSilent = 4;  // log level: errors arrive as a status
constexpr int kArenaAllocator = 1, kDefaultMemory = 0;

constexpr Function<2, const char*, const Status*> error_message;
constexpr Function<3, Status*, int, const char*, Environment**> create_environment;
constexpr Function<6, Status*, const Environment*> disable_telemetry;
constexpr Function<8, Status*, const Environment*, const void*, std::size_t, const SessionOptions*, Session**>
    create_session;
constexpr Function<9, Status*, Session*, const RunOptions*, const char* const*, const Value* const*, std::size_t,
                   const char* const*, std::size_t, Value**>
    run;
constexpr Function<10, Status*, SessionOptions**> create_session_options;
constexpr Function<22, Status*, SessionOptions*, int> set_log_level;
constexpr Function<24, Status*, SessionOptions*, int> set_threads;
constexpr Function<25, Status*, SessionOptions*, int> set_threads_between;
constexpr Function<39, Status*, RunOptions**> create_run_options;
constexpr Function<46, Status*, RunOptions*> terminate;
constexpr Function<47, Status*, RunOptions*> unterminate;
constexpr Function<49, Status*, const MemoryInfo*, void*, std::size_t, const std::int64_t*, std::size_t, int, Value**>
    create_tensor;
constexpr Function<69, Status*, int, int, MemoryInfo**> create_cpu_memory_info;
constexpr Function<92, void, Environment*> release_environment;
constexpr Function<93, void, Status*> release_status;
constexpr Function<94, void, MemoryInfo*> release_memory_info;
constexpr Function<95, void, Session*> release_session;
constexpr Function<96, void, Value*> release_value;
constexpr Function<97, void, RunOptions*> release_run_options;
constexpr Function<100, void, SessionOptions*> release_session_options;
constexpr Function<130, Status*, SessionOptions*, const char*, const char*> add_config_entry;
constexpr Function<273, Status*, SessionOptions*, bool> set_deterministic_compute;

}  // namespace mmreg::onnxruntime
