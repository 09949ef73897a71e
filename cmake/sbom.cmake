# Software bills of materials (CycloneDX 1.6) of libmmreg and of the wheel: what is linked in, what is needed at run time,
# and what is loaded if it is there. Written while configuring, from the versions that are built with.
#
#   mmreg_sbom_begin()
#   mmreg_sbom_add(library numpy "" BSD-3-Clause required "numpy>=1.24" pkg:pypi/numpy)
#   mmreg_sbom_write(library mmreg-rt pkg:pypi/mmreg-rt@0.1.0 path.cdx.json)

macro(mmreg_sbom_begin)
  set(sbom_components)
  set(sbom_refs)
endmacro()

# `use` is static (part of the files), required or optional; `detail` says how it is used. Values hold no quotes.
macro(mmreg_sbom_add type name version licence use detail purl)
  if("${use}" STREQUAL static)
    set(sbom_scope required)
  else()
    set(sbom_scope ${use})
  endif()
  set(sbom_fields "\"type\": \"${type}\", \"bom-ref\": \"${name}\", \"name\": \"${name}\"")
  if(NOT "${version}" STREQUAL "")
    string(APPEND sbom_fields ", \"version\": \"${version}\"")
  endif()
  string(APPEND sbom_fields ", \"scope\": \"${sbom_scope}\", \"licenses\": [{\"expression\": \"${licence}\"}]")
  if(NOT "${purl}" STREQUAL "")
    string(APPEND sbom_fields ", \"purl\": \"${purl}\"")
  endif()
  string(APPEND sbom_fields ", \"properties\": [{\"name\": \"mmreg:use\", \"value\": \"${use}\"}, "
                            "{\"name\": \"mmreg:detail\", \"value\": \"${detail}\"}]")
  list(APPEND sbom_components "    {${sbom_fields}}")
  list(APPEND sbom_refs "\"${name}\"")
endmacro()

macro(mmreg_sbom_write type name purl path)
  string(REPLACE ";" ",\n" sbom_components "${sbom_components}")
  string(REPLACE ";" ", " sbom_refs "${sbom_refs}")
  string(UUID sbom_uuid NAMESPACE 6ba7b811-9dad-11d1-80b4-00c04fd430c8 NAME "${purl} ${sbom_components}" TYPE SHA1)
  file(WRITE ${path} "{
  \"bomFormat\": \"CycloneDX\",
  \"specVersion\": \"1.6\",
  \"serialNumber\": \"urn:uuid:${sbom_uuid}\",
  \"version\": 1,
  \"metadata\": {
    \"component\": {\"type\": \"${type}\", \"bom-ref\": \"${name}\", \"name\": \"${name}\", \"version\": \"${MMREG_VERSION}\",
                  \"licenses\": [{\"expression\": \"Apache-2.0\"}], \"purl\": \"${purl}\"}
  },
  \"components\": [
${sbom_components}
  ],
  \"dependencies\": [{\"ref\": \"${name}\", \"dependsOn\": [${sbom_refs}]}]
}
")
endmacro()

set(MMREG_GCC_LICENCE "GPL-3.0-or-later WITH GCC-exception-3.1")

# What libmmreg is linked with, and the engines that it loads if a deployment asks for them.
macro(mmreg_sbom_add_c_library_parts)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    mmreg_sbom_add(library "libstdc++" "${CMAKE_CXX_COMPILER_VERSION}" "${MMREG_GCC_LICENCE}" static "in libmmreg" "")
    mmreg_sbom_add(library libgcc "${CMAKE_CXX_COMPILER_VERSION}" "${MMREG_GCC_LICENCE}" static "in libmmreg" "")
  else()
    mmreg_sbom_add(library "C++ library of ${CMAKE_CXX_COMPILER_ID}" "${CMAKE_CXX_COMPILER_VERSION}"
                   "Apache-2.0 WITH LLVM-exception" static "in libmmreg" "")
  endif()
  mmreg_sbom_add(library glibc "" LGPL-2.1-or-later required "of the system" "")
  mmreg_sbom_add(library openvino "" Apache-2.0 optional "loaded by libmmreg for a deployment" pkg:pypi/openvino)
  mmreg_sbom_add(library onnxruntime "" MIT optional "loaded by libmmreg for a deployment" pkg:pypi/onnxruntime)
endmacro()
