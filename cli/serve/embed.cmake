# Puts the files of a folder into the program: an assembler file that includes them, and a table of their paths.
#   embed_files(FOLDER OUT_ASM OUT_CPP)
function(embed_files folder assembler table)
    file(GLOB_RECURSE files CONFIGURE_DEPENDS LIST_DIRECTORIES false RELATIVE ${folder} ${folder}/*)
    list(SORT files)
    set(assembled "    .section .rodata\n")
    set(declared "")
    set(listed "")
    set(number 0)
    foreach(file ${files})
        string(APPEND assembled
            "    .global sync_job_file_${number}, sync_job_file_${number}_end\n"
            "    .balign 16\nsync_job_file_${number}:\n    .incbin \"${folder}/${file}\"\nsync_job_file_${number}_end:\n    .byte 0\n")
        string(APPEND declared "extern \"C\" const char sync_job_file_${number}[], sync_job_file_${number}_end[];\n")
        string(APPEND listed "        {\"/${file}\", {sync_job_file_${number}, sync_job_file_${number}_end}},\n")
        list(APPEND paths ${folder}/${file})
        math(EXPR number "${number} + 1")
    endforeach()
    string(APPEND assembled "    .section .note.GNU-stack, \"\", %progbits\n")
    file(CONFIGURE OUTPUT ${assembler} CONTENT "${assembled}" @ONLY)
    file(CONFIGURE OUTPUT ${table} @ONLY CONTENT
        "// Made by embed.cmake.\n#include <span>\n#include <vector>\n\n#include \"serve/static_files.hpp\"\n\n${declared}\nnamespace sync_job::serve {\n\nstd::span<const StaticFile> static_files() {\n    static const std::vector<StaticFile> files = {\n${listed}    };\n    return files;\n}\n\n}  // namespace sync_job::serve\n")
    set_source_files_properties(${assembler} PROPERTIES OBJECT_DEPENDS "${paths}")
endfunction()
