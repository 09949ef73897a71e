# What the PTX tool, which is kept beside this repository, calls by names of earlier versions.
s/from mmreg_rt\.backends import tensorrt_ahead as ahead/from mmreg_rt.backends.tensorrt import aot_plugin as ahead/
s/_native\.above\b/_native.threshold/g
s/_native\.attach\b/_native.append_intensity_channels/g
s/_native\.combine\b/_native.axpby/g
s/_native\.condense\b/_native.pool_mapped/g
s/_native\.descent\b/_native.adam_step/g
s/_native\.force\b/_native.similarity_gradient/g
s/_native\.reach\b/_native.max_displacement/g
s/_native\.select\b/_native.where/g
s/_native\.unfold\b/_native.remove_folds/g
s/_native\.warp_adjoint\b/_native.warp_grad_image/g
s/_native\.warp_slope\b/_native.warp_grad_displacement/g
# files and kernels of accepted.txt
s/^unfold	/remove_folds	/
s/	warp_slope|warp_adjoint	/	warp_grad_displacement|warp_grad_image	/
