"""A real node: containerd, runc, kubelet and kube-proxy, in namespaces of their own so that nothing of it stays.

`isolation` runs a command in namespaces for network, mounts and processes, of which the kernel ends every process and
takes away every mount when that command ends; `prepared` makes them fit for a node, and `Node` starts one in them.
"""
