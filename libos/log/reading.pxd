from libos.log cimport checksum
