"""Writes a folder into an archive by PyPI's aleph-cid: write.py 0|1 FOLDER CAR"""
import sys

from aleph_cid import write_folder_car

version, folder, car = sys.argv[1:]
write_folder_car(folder, car, cid_version=int(version))
