// The library's own operator new, which keeps the blocks that it gets back.
#pragma once

namespace mmreg::capi {

void release_kept_blocks();  // to the system

}  // namespace mmreg::capi
