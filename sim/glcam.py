"""The rover's camera through OpenGL: cast shadows and smooth edges where EGL or OSMesa is there.

Needs `pyopengl` and the system's libEGL (any driver, llvmpipe too) or libOSMesa; `mujoco-core`
brings neither. The ray camera needs nothing, gives labels, and is the one that models learn from.
A context belongs to the thread that took the first picture.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import DeviceError
from olympus.sim import figures
from olympus.sim.building import Building

_MAX_GEOMS = 2000
_SEEN = (figures.GROUP_STATIC, figures.GROUP_PEOPLE, figures.GROUP_FLOOR)


class GlCamera:
    """Renders what the model's camera `eye` sees."""

    def __init__(self, building: Building, width: int, height: int) -> None:
        """Open an OpenGL context, EGL first.

        Raises:
            DeviceError: Neither EGL nor OSMesa can be used; says what to install.
        """
        self._model = building.model
        self._context = _open_context(width, height)
        self._context.make_current()
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._scene = mujoco.MjvScene(self._model, _MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = [int(group in _SEEN) for group in range(6)]
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = self._model.camera("eye").id
        self._renderer = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._renderer)
        self._window = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)

    def picture(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Render; (H, W, 3) uint8, RGB, row 0 at the top."""
        self._context.make_current()
        mujoco.mj_camlight(self._model, data)
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        mujoco.mjr_render(self._window, self._scene, self._renderer)
        mujoco.mjr_readPixels(self._pixels, None, self._window, self._renderer)
        return np.ascontiguousarray(self._pixels[::-1])

    def close(self) -> None:
        """Give the context back; do nothing if it is closed."""
        if self._context is not None:
            self._renderer.free()
            self._context.free()
            self._context = None


def require_gl() -> None:
    """Make sure that OpenGL pictures are possible here.

    Raises:
        DeviceError: They are not; says what to install.
    """
    _open_context(16, 16).free()


def _open_context(width: int, height: int) -> Any:
    """Open an EGL or OSMesa context; untyped, as MuJoCo's modules for them are.

    Raises:
        DeviceError: Neither can be used.
    """
    problems = []
    for platform in ("egl", "osmesa"):
        try:
            module = importlib.import_module(f"mujoco.{platform}")
            return module.GLContext(width, height)
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            problems.append(f"{platform}: {type(error).__name__}: {error}")
            # MuJoCo's module sets it when it is imported, and the next one then refuses.
            os.environ.pop("PYOPENGL_PLATFORM", None)
    raise DeviceError(
        f"no OpenGL for nicer pictures ({'; '.join(problems)}); install pyopengl and the system's "
        "libegl1 or libosmesa6, or keep renderer=rays, which needs nothing"
    )
