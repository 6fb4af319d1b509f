// What the library's functions take and return is part of its interface: whoever imports MLRun can name it.
@_exported public import ImageStore
@_exported public import LinuxSystem
@_exported public import OCISpec
@_exported public import Registry
@_exported public import Serving
@_exported public import Trust
