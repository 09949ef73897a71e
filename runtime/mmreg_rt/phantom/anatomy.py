"""The anatomy of a head as a function of space: the tissue at any point, in mm.

Coordinates are right, anterior, superior, with the origin in the middle of the brain. Nothing here is
measured on a person; sizes follow anatomy atlases. The seed changes folds, thicknesses and
textures.
"""

from __future__ import annotations

import numpy as np

from .shapes import Floats, Points, Ripples, Sheets, blend, capsule, carve, ellipsoid
from .tissues import Canvas, Tissue


class Head:
    """The anatomy of one person: its random parts, and the functions that paint it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self._sulci = Sheets(rng, 16.0)
        self._sulcal_depth = Ripples(rng, 45.0)
        self._folia = Sheets(rng, 4.2, warp=0.7)
        self._trabeculae = Sheets(rng, 2.6, warp=0.8)
        self._cells = Sheets(rng, 4.5, warp=0.6)
        self._vessels = Sheets(rng, 23.0), Sheets(rng, 17.0)
        self._thickness = Ripples(rng, 55.0)
        self._shape = Ripples(rng, 110.0, count=5)
        self._texture = Ripples(rng, 14.0, count=6)

    def surface(self, p: Points) -> Floats:
        """Return the signed distance to the skin, mm; negative inside the head."""
        return self._skin(p, self._skull(p, self._cavity(p)))

    def paint(self, p: Points, canvas: Canvas) -> None:
        """Paint the head from the outside in, each layer only where it can be seen."""
        cavity = self._cavity(p)
        outside = np.flatnonzero(cavity > -2)
        with canvas.part(outside) as part:
            self._covers(p.at(outside), cavity[outside], part)
        canvas.paint(cavity, Tissue.CSF)
        inside = np.flatnonzero(cavity < 2)
        with canvas.part(inside) as part:
            self._brain(p.at(inside), part)

    def _covers(self, p: Points, cavity: Floats, canvas: Canvas) -> None:
        skull = self._skull(p, cavity)
        skin = self._skin(p, skull)
        self._soft_tissue(p, skin, canvas)
        self._bones(p, cavity, skull, canvas)
        front = np.flatnonzero((p.y > -30) & (p.z < 20))
        with canvas.part(front) as part:
            self._face(p.at(front), part)

    # -- outer shapes ---------------------------------------------------------------------------------------

    def _cerebrum(self, p: Points) -> Floats:
        dome = ellipsoid(p, (0, -2, 6), (67, 85, 62)) + 2.2 * self._shape.value(p)
        lobe = np.exp(-(((np.abs(p.x) - 44) / 20) ** 2) - ((p.y - 10) / 27) ** 2)
        floor = -17 - 24 * lobe - 5 * np.exp(-(((p.y + 60) / 25) ** 2))
        return carve(dome, np.asarray((floor - p.z) * np.float32(0.85), np.float32), 16)

    @staticmethod
    def _cerebellum(p: Points) -> Floats:
        lobes = ellipsoid(p.mirrored(), (21, -54, -42), (30, 31, 23))
        return blend(lobes, ellipsoid(p, (0, -54, -40), (15, 24, 20)), 6)

    @staticmethod
    def _brainstem(p: Points) -> Floats:
        stem = capsule(p, (0, -16, -10), (0, -42, -78), 12, 8)
        cord = capsule(p, (0, -42, -78), (0, -46, -190), 7)
        return blend(blend(stem, ellipsoid(p, (0, -19, -32), (17, 13, 14)), 8), cord, 6)

    def _cavity(self, p: Points) -> Floats:
        fossa = blend(self._cerebrum(p), self._cerebellum(p) - 0.5, 12)
        return np.asarray(blend(fossa, self._brainstem(p) - 1.5, 10) - np.float32(2.2), np.float32)

    def _skull(self, p: Points, cavity: Floats) -> Floats:
        occiput = np.exp(-(((p.y + 88) / 30) ** 2) - (p.x / 30) ** 2)
        return np.asarray(cavity - np.clip(6.2 + 1.9 * self._thickness.value(p) + 3 * occiput, 3.2, 12))

    @staticmethod
    def _skin(p: Points, skull: Floats) -> Floats:
        q = p.mirrored()
        face = ellipsoid(p, (0, 46, -62), (61, 53, 66))
        neck = capsule(p, (0, -22, -75), (0, -30, -230), 56, 60)
        head = blend(blend(skull - 7.5, face, 22), neck, 26)
        head = blend(head, ellipsoid(p, (0, 100, -58), (12, 17, 20)), 14)
        return blend(head, ellipsoid(q, (80, -20, -32), (8, 17, 28)), 6)

    # -- around the brain -----------------------------------------------------------------------------------

    def _soft_tissue(self, p: Points, skin: Floats, canvas: Canvas) -> None:
        fat_mm = 2.2 + np.clip(3.4 + 1.8 * self._thickness.value(Points(p.z, p.x, p.y)), 1.2, 7)
        canvas.paint(skin, Tissue.SKIN)
        canvas.paint(skin + 2.0, Tissue.FAT)
        canvas.paint(np.asarray(skin + fat_mm, np.float32), Tissue.MUSCLE)
        one, two = (np.abs(sheets.value(p)) for sheets in self._vessels)
        canvas.paint(np.maximum(two - 0.9, skin + fat_mm + 2), Tissue.FAT)
        canvas.paint(np.maximum(np.maximum(one, two) - 1.3, skin + 3), Tissue.VESSEL)

    def _bones(self, p: Points, cavity: Floats, skull: Floats, canvas: Canvas) -> None:
        q = p.mirrored()
        mastoid = ellipsoid(q, (58, -32, -48), (14, 17, 20))
        brow = ellipsoid(p, (0, 83, -8), (30, 10, 17))
        base = ellipsoid(p, (0, 22, -38), (22, 20, 15))
        petrous = capsule(q, (58, -26, -40), (16, -4, -34), 9, 6)
        bone = blend(blend(skull, mastoid, 8), blend(brow, blend(base, petrous, 6), 6), 6)
        canvas.paint(bone, Tissue.BONE)
        zygoma = np.minimum(
            capsule(q, (54, 62, -46), (71, 12, -44), 4.5), capsule(q, (52, 64, -46), (47, 72, -18), 5)
        )
        canvas.paint(zygoma, Tissue.BONE)
        canvas.paint(zygoma + 2.6, Tissue.MARROW)
        lattice = 0.9 - np.abs(self._trabeculae.value(p))  # marrow between trabeculae
        diploe = np.maximum(1.9 - cavity, skull + 1.9)
        canvas.paint(diploe, Tissue.MARROW)
        canvas.paint(np.maximum(diploe, lattice + 0.35), Tissue.FAT, strength=0.4)
        cells = np.asarray(0.9 - np.abs(self._cells.value(p)), np.float32)
        canvas.paint(np.maximum(mastoid + 2.5, cells), Tissue.SINUS)

    def _face(self, p: Points, canvas: Canvas) -> None:
        self._sinuses(p, canvas)
        self._jaw(p, canvas)
        q = p.mirrored()
        orbit = carve(ellipsoid(q, (31, 58, -27), (19, 27, 17)), np.asarray(p.y - 84, np.float32), 4)
        canvas.paint(np.maximum(orbit - 2.2, p.y - 78), Tissue.BONE)
        canvas.paint(orbit, Tissue.FAT)
        for start in ((31, 66, -14), (31, 66, -40), (44, 66, -27)):
            canvas.paint(capsule(q, start, (28, 34, -26), 2.2), Tissue.MUSCLE)
        canvas.paint(capsule(q, (31, 66, -27), (10, 18, -24), 2.4), Tissue.BRAINSTEM)  # optic nerve
        globe = ellipsoid(q, (32, 73, -27), (12, 12, 12))
        canvas.paint(globe - 0.9, Tissue.MUSCLE)
        canvas.paint(globe, Tissue.EYE)
        canvas.paint(ellipsoid(q, (32, 82, -27), (4.6, 2.4, 4.6)), Tissue.LENS)

    def _sinuses(self, p: Points, canvas: Canvas) -> None:
        q = p.mirrored()
        maxillary = ellipsoid(q, (27, 55, -60), (13, 17, 15)) + 1.2 * self._thickness.value(q)
        frontal = ellipsoid(q, (9, 85, -6), (11, 4.5, 10)) + 1.5 * self._thickness.value(p)
        sphenoid = ellipsoid(q, (7, 24, -39), (8, 11, 8))
        ethmoid = ellipsoid(q, (6, 54, -34), (8, 20, 12))
        nose = ellipsoid(p, (0, 68, -62), (11, 30, 17))
        for air in (maxillary, frontal, sphenoid):
            canvas.paint(np.asarray(air - 1.8, np.float32), Tissue.BONE)
            canvas.paint(np.asarray(air, np.float32), Tissue.SINUS)
        cells = np.asarray(0.7 - np.abs(self._cells.value(p)), np.float32)
        canvas.paint(ethmoid, Tissue.BONE, strength=0.6)
        canvas.paint(np.maximum(ethmoid, cells), Tissue.SINUS)
        septum = np.asarray(1.2 - p.x * np.sign(p.x), np.float32)
        canvas.paint(np.maximum(np.maximum(nose, cells + 1.1), septum), Tissue.SINUS)
        canvas.paint(capsule(p, (0, 36, -66), (0, 14, -100), 7, 9), Tissue.SINUS)
        canvas.paint(capsule(p, (0, 14, -100), (0, 8, -230), 9), Tissue.SINUS)
        canvas.paint(capsule(q, (78, -20, -40), (52, -20, -40), 2.6), Tissue.SINUS)  # ear canal

    @staticmethod
    def _jaw(p: Points, canvas: Canvas) -> None:
        arch = np.sqrt((p.x / 27) ** 2 + ((p.y - 46) / 42) ** 2) - 1
        ring = np.asarray(np.abs(arch) * 30 - 4.5, np.float32)
        for z, half in ((-85.0, 7.0), (-108.0, 9.0)):
            band = np.maximum(np.abs(p.z - z) - half, 44 - p.y)
            tooth = np.maximum(band, ring)
            canvas.paint(tooth, Tissue.BONE)
            canvas.paint(tooth + 2.4, Tissue.MARROW)
        palate = np.maximum(np.maximum(np.abs(p.z + 80) - 1.8, arch * 30), 30 - p.y)
        canvas.paint(palate, Tissue.BONE)

    # -- the brain ------------------------------------------------------------------------------------------

    def _brain(self, p: Points, canvas: Canvas) -> None:
        depth = -self._cerebrum(p)
        pia = self._pia(p, depth)
        canvas.paint(-pia, Tissue.GREY)
        canvas.paint(2.6 - pia, Tissue.WHITE)
        self._midline(p, canvas)
        self._hindbrain(p, -depth, canvas)
        core = np.flatnonzero((np.abs(p.x) < 42) & (np.abs(p.y + 8) < 58) & (np.abs(p.z + 10) < 42))
        with canvas.part(core) as part:
            self._nuclei(p.at(core), part)
            self._ventricles(p.at(core), part)
        one, two = (np.abs(sheets.value(p)) for sheets in self._vessels)
        canvas.paint(np.maximum(one, two) - np.float32(0.9), Tissue.VESSEL, strength=0.8)
        canvas.signal *= 1 + 0.03 * self._texture.value(p)

    def _pia(self, p: Points, depth: Floats) -> Floats:
        """Return the distance to the pial surface, mm: hull, sulci, Sylvian and midline fissure."""
        radius = np.sqrt((p.x / 67) ** 2 + ((p.y + 2) / 85) ** 2 + ((p.z - 6) / 62) ** 2)
        pull = np.clip(radius, 0.3, 1.2) ** np.float32(-0.8)  # folds run inwards: look them up on the hull
        on_hull = Points(p.x * pull, (p.y + 2) * pull, (p.z - 6) * pull)
        floor = 17 + 7 * self._sulcal_depth.value(p)
        sulcus = self._slit(np.abs(self._sulci.value(on_hull)) / pull - 0.75, depth - floor)
        lateral = np.abs(p.z - (-4 + 0.22 * p.y)) - 1.3
        sylvian = self._slit(
            lateral, np.maximum(np.maximum(33 - np.abs(p.x), np.abs(p.y - 4) - 32), depth - 40)
        )
        wall = self._slit(np.abs(p.x + 1.2 * self._texture.value(p)) - 1.1, -p.z - 30)
        return np.asarray(np.minimum(np.minimum(depth - 0.4, sulcus), np.minimum(sylvian, wall)))

    @staticmethod
    def _slit(across: Floats, beyond: Floats) -> Floats:
        """Return the distance to a slit: ``across`` it, and around its end once ``beyond`` its depth."""
        past = np.clip(beyond, 0, None)
        return np.asarray(
            np.sqrt(np.clip(across, 0, None) ** 2 + past * past) + np.clip(across, None, 0), np.float32
        )

    @staticmethod
    def _midline(p: Points, canvas: Canvas) -> None:
        """Paint the corpus callosum and the core of the brain below it."""
        bow = np.sqrt(((p.y + 6) / 38) ** 2 + ((p.z - 2) / 24) ** 2)
        callosum = np.maximum(np.maximum(np.abs(bow - 1) * 26 - 3.6, np.abs(p.x) - 16), -2 - p.z)
        canvas.paint(np.asarray(callosum, np.float32), Tissue.WHITE)
        canvas.paint(ellipsoid(p, (0, -6, -2), (30, 34, 21)), Tissue.WHITE)
        falx = np.maximum(np.abs(p.x) - 0.5, 34 - p.z + 8 * np.cos((p.y + 6) / 38))
        canvas.paint(np.asarray(falx, np.float32), Tissue.MUSCLE, strength=0.7)

    def _hindbrain(self, p: Points, cerebrum: Floats, canvas: Canvas) -> None:
        stem = self._brainstem(p) + np.float32(0.5)
        low = np.flatnonzero((p.z < -10) & (p.y < -10))
        p, cerebrum = p.at(low), cerebrum[low]
        with canvas.part(low) as part:
            cerebellum = self._cerebellum(p)
            part.paint(np.maximum(cerebellum - 1.0, cerebrum + 2) - np.float32(0.8), Tissue.CSF)
            part.paint(cerebellum, Tissue.CEREBELLUM)
            folia = self._folia.value(p)
            part.paint(np.maximum(np.abs(folia) - 0.7, cerebellum + 2.0), Tissue.WHITE, strength=0.85)
            cleft = np.maximum(np.abs(folia - 1.25) - 0.35, -cerebellum - 9)
            part.paint(np.maximum(cleft, cerebellum), Tissue.CSF, strength=0.7)
        canvas.paint(stem, Tissue.BRAINSTEM)

    @staticmethod
    def _nuclei(p: Points, canvas: Canvas) -> None:
        q = p.mirrored()
        canvas.paint(ellipsoid(q, (12, -15, 3), (8.5, 14, 9)), Tissue.THALAMUS)
        canvas.paint(capsule(q, (12, 24, 5), (17, -12, 19), 6.5, 2.5), Tissue.STRIATUM)  # caudate
        canvas.paint(ellipsoid(q, (26, 4, 1), (5, 17, 10)), Tissue.STRIATUM)  # putamen
        canvas.paint(ellipsoid(q, (19, 1, -1), (3.6, 10, 6.5)), Tissue.THALAMUS)  # pallidum
        canvas.paint(ellipsoid(q, (4.5, -18, -17), (3.2, 4, 3)), Tissue.STRIATUM)  # red nucleus

    @staticmethod
    def _ventricles(p: Points, canvas: Canvas) -> None:
        q = p.mirrored()
        path = ((6, 34, 6), (8, 20, 14), (11, -6, 20), (22, -34, 13), (31, -24, -8), (33, 2, -20))
        width = (3.0, 5.0, 4.6, 6.8, 3.6, 2.4)
        horn = capsule(q, path[3], (19, -62, 6), 6.0, 2.2)
        for i in range(len(path) - 1):
            horn = blend(horn, capsule(q, path[i], path[i + 1], width[i], width[i + 1]), 2.5)
        third = ellipsoid(p, (0, -8, -3), (2.3, 14, 10))
        fourth = blend(
            ellipsoid(p, (0, -35, -38), (7, 5, 9)), capsule(p, (0, -22, -12), (0, -34, -34), 1.2), 3
        )
        canvas.paint(np.minimum(np.minimum(horn, third), fourth), Tissue.VENTRICLE)
        canvas.paint(ellipsoid(q, (16, -32, 13), (2.5, 5, 3)), Tissue.VESSEL)  # choroid plexus
        canvas.paint(
            ellipsoid(p, (0, -28, -4), (2.5, 3.5, 2.5)), Tissue.BONE, strength=0.35
        )  # calcified pineal
