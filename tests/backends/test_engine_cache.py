"""Engines are kept for what they were built for, and only as they were written."""

import stat
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import pytest

from mmreg_rt.backends.tensorrt import engine_cache
from mmreg_rt.backends.tensorrt.engine_cache import EngineCache, EngineFacts
from mmreg_rt.errors import BackendUnavailableError, InputError

FACTS = EngineFacts("ab" * 32, "fp16", "96x96x96", "tensorrt", "11.4", "NVIDIA H200", 90, "13000")
PLAN = bytes(range(256)) * 20
SIDE_BY_SIDE = ("model_sha256", "precision", "profile", "library")


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def test_what_is_written_is_read_and_only_by_its_owner(cache):
    assert cache.read(FACTS) is None
    path = cache.write(FACTS, PLAN)
    assert cache.read(FACTS) == PLAN
    assert EngineCache(cache.folder).read(FACTS) == PLAN
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((cache.folder / "key").stat().st_mode) == 0o600
    assert sorted(p.name for p in cache.folder.iterdir()) == sorted(["key", path.name])  # nothing partial


@pytest.mark.parametrize("name", [f.name for f in fields(EngineFacts) if f.name not in SIDE_BY_SIDE])
def test_an_engine_for_something_else_is_refused_and_the_field_named(cache, name):
    cache.write(FACTS, PLAN)
    other = replace(FACTS, **{name: 89 if name == "compute_capability" else "another"})
    with pytest.raises(BackendUnavailableError, match=f"{name} was .* and is") as caught:
        cache.read(other)
    assert caught.value.code == "MMREG_E_ENGINE_FOREIGN"
    assert cache.read(FACTS) == PLAN


@pytest.mark.parametrize("name", SIDE_BY_SIDE)
def test_engines_of_other_networks_precisions_and_sizes_stand_beside_each_other(cache, name):
    cache.write(FACTS, PLAN)
    other = replace(FACTS, **{name: "another"})
    assert cache.read(other) is None
    cache.write(other, PLAN[::-1])
    assert cache.read(FACTS) == PLAN


def test_a_changed_byte_anywhere_is_found_before_anything_is_loaded(cache):
    path = cache.write(FACTS, PLAN)
    whole = path.read_bytes()
    body = len(engine_cache.MAGIC) + 32
    for place in (0, len(engine_cache.MAGIC), body, body + 4, body + 40, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(BackendUnavailableError) as caught:
            cache.read(FACTS)
        assert caught.value.code == "MMREG_E_ENGINE_TAMPERED"
    for short in (whole[:10], whole[: body + 3], whole[:-1], b""):
        path.write_bytes(short)
        with pytest.raises(BackendUnavailableError, match="MMREG_E_ENGINE_TAMPERED"):
            cache.read(FACTS)


def test_an_engine_of_another_cache_is_not_loaded(cache, tmp_path):
    other = EngineCache(tmp_path / "other")
    path = cache.write(FACTS, PLAN)
    other.write(FACTS, b"")
    (other.folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BackendUnavailableError, match="from another machine"):
        other.read(FACTS)


def test_facts_that_were_rewritten_need_the_key(cache):
    path = cache.write(replace(FACTS, driver="old"), PLAN)
    whole = path.read_bytes()
    forged = whole.replace(b'"old"', b'"new"')
    assert forged != whole
    path.write_bytes(forged)
    with pytest.raises(BackendUnavailableError, match="MMREG_E_ENGINE_TAMPERED"):
        cache.read(replace(FACTS, driver="new"))


def test_a_folder_or_key_that_others_can_reach_is_refused(cache, tmp_path):
    cache.write(FACTS, PLAN)
    (cache.folder / "key").chmod(0o644)
    with pytest.raises(InputError, match="MMREG_E_CACHE_NOT_PRIVATE"):
        cache.read(FACTS)
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(InputError, match="chmod 700"):
        EngineCache(tmp_path / "open")


def test_two_that_make_the_first_key_at_once_agree_on_one(tmp_path):
    caches = [EngineCache(tmp_path / "engines") for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: caches[n].write(replace(FACTS, profile=str(n)), PLAN), range(16)))
    assert all(caches[0].read(replace(FACTS, profile=str(n))) == PLAN for n in range(16))


def test_the_layout_is_the_one_that_is_documented(cache):
    data = cache.write(FACTS, PLAN).read_bytes()
    start = len(b"mmreg-engine/1\n") + 32
    (length,) = struct.unpack_from("<I", data, start)
    assert data[start + 4 + length :] == PLAN


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("MMREG_CACHE", str(tmp_path / "x"))
    assert engine_cache.default_folder() == tmp_path / "x"
    monkeypatch.delenv("MMREG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engine_cache.default_folder() == tmp_path / "mmreg_rt" / "engines"
